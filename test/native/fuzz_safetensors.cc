// The safetensors reader: whatever it takes covers the file exactly, and every byte of it may be touched.
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>

#include "formats/safetensors.h"
#include "fuzz.h"

namespace mmprm {
namespace {

std::string length_of(uint64_t n) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(n >> (8 * i));
  return bytes;
}

std::string file_of(const std::string& header, size_t data_bytes) {
  return length_of(header.size()) + header + std::string(data_bytes, '\x5a');
}

// One file that is written over again and again. WHY kept open: truncating it to nothing and closing it, as a
// stream does, makes some file systems wait for the disk each time.
class ScratchFile {
 public:
  ScratchFile() : path_((std::filesystem::temp_directory_path() / "mm-prm-fuzz-XXXXXX").string()) {
    fd_ = ::mkstemp(path_.data());
  }
  ~ScratchFile() {
    ::close(fd_);
    ::unlink(path_.c_str());
  }
  const std::string& write(const std::string& bytes) const {
    const bool written = ::ftruncate(fd_, static_cast<off_t>(bytes.size())) == 0 &&
                         ::pwrite(fd_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size());
    if (!written) throw std::runtime_error("cannot write " + path_);
    return path_;
  }

 private:
  std::string path_;
  int fd_;
};

// Most mutated headers would only be refused for their length: half of them get a true one.
std::string with_true_length(std::string bytes, Mutator& random) {
  const size_t end = bytes.rfind('}');
  if (end == std::string::npos || end < 8 || random.below(2) == 0) return bytes;
  return length_of(end + 1 - 8) + bytes.substr(8);
}

uint64_t num_elements(const SafetensorsEntry& entry) {
  uint64_t count = 1;
  for (int64_t extent : entry.shape) count *= static_cast<uint64_t>(extent);
  return count;
}

bool read_safetensors(const std::string& mutated, Mutator& random) {
  const std::string bytes = with_true_length(mutated, random);
  static const ScratchFile scratch;
  const MappedFile file(scratch.write(bytes));
  const std::vector<SafetensorsEntry> entries = read_safetensors_header(file);
  unsigned touched = 0;
  size_t covered = entries.empty() ? file.size() : entries.front().begin;
  for (const SafetensorsEntry& entry : entries) {
    if (entry.begin != covered || entry.end < entry.begin || entry.end > file.size()) {
      throw std::logic_error("tensor " + entry.name + " lies outside or beside the others");
    }
    if (entry.dtype == "F32" && num_elements(entry) * 4 != entry.end - entry.begin) {
      throw std::logic_error("tensor " + entry.name + " has another size than its shape");
    }
    for (size_t i = entry.begin; i < entry.end; ++i) touched += std::to_integer<unsigned>(file.data()[i]);
    covered = entry.end;
  }
  if (covered != file.size()) throw std::logic_error("bytes at the end belong to no tensor");
  return touched < 0xffffffffu;
}

}  // namespace
}  // namespace mmprm

int main(int argc, char** argv) {
  using mmprm::file_of;
  const mmprm::FuzzTarget target{
      "fuzz_safetensors",
      {file_of(
           R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]}})",
           32),
       file_of(R"({"__metadata__":{"format":"pt"},"w":{"dtype":"F16","shape":[],"data_offsets":[0,2]}})", 2),
       file_of(
           R"({"x":{"dtype":"I64","shape":[0,7],"data_offsets":[0,0]},"y":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
           4),
       file_of("{}", 0)},
      {"{",
       "}",
       "[",
       "]",
       ",",
       ":",
       "\"",
       "-1",
       "0",
       "4294967296",
       "9223372036854775807",
       "1e300",
       "\"F32\"",
       "\"F8_E4M3\"",
       "\"Q4\"",
       "\"shape\":",
       "\"data_offsets\":[0,4]",
       "\"a\":{}",
       "__metadata__",
       "\xff",
       std::string(8, '\xff'),
       std::string(8, '\0')},
      mmprm::read_safetensors};
  return mmprm::run_fuzzer(target, argc, argv);
}
