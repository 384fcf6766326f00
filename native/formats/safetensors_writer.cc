#include "formats/safetensors_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <utility>

#include "base/float_types.h"
#include "include/engine/error.h"

namespace mmprm {
namespace {

[[noreturn]] void fail(const std::string& path, int error) {
  throw Error(ErrorCode::kInvalidArgument, "cannot write " + path + ": " + std::strerror(error));
}

std::string quoted(const std::string& text) {
  static const char* const kHex = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20) {
      out.append("\\u00").push_back(kHex[c >> 4 & 15]);
      out.push_back(kHex[c & 15]);
      continue;
    }
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  out.push_back('"');
  return out;
}

size_t element_count(const std::vector<int64_t>& shape) {
  size_t count = 1;
  for (int64_t extent : shape) count *= size_t(extent);
  return count;
}

std::string header_of(const std::vector<TensorToWrite>& tensors,
                      const std::vector<std::pair<std::string, std::string>>& metadata) {
  std::ostringstream out;
  out << "{\"__metadata__\":{";
  for (size_t i = 0; i < metadata.size(); ++i) {
    out << (i ? "," : "") << quoted(metadata[i].first) << ':' << quoted(metadata[i].second);
  }
  out << '}';
  size_t at = 0;
  for (const TensorToWrite& t : tensors) {
    const size_t end = at + element_count(t.shape) * dtype_bytes(t.dtype);
    out << ',' << quoted(t.name) << ":{\"dtype\":\"" << (t.dtype == DType::kF32 ? "F32" : "BF16")
        << "\",\"shape\":[";
    for (size_t i = 0; i < t.shape.size(); ++i) out << (i ? "," : "") << t.shape[i];
    out << "],\"data_offsets\":[" << at << ',' << end << "]}";
    at = end;
  }
  out << '}';
  std::string header = out.str();
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return header;
}

// A file that is deleted again unless it was given its final name.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& path)
      : path_(path), temporary_(path + ".tmp-" + std::to_string(::getpid())) {
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd_ < 0) fail(path, errno);
  }
  ~TemporaryFile() {
    if (fd_ >= 0) ::close(fd_);
    if (!kept_) ::unlink(temporary_.c_str());
  }

  void write(const void* data, size_t bytes) {
    const char* at = static_cast<const char*>(data);
    while (bytes > 0) {
      const ssize_t written = ::write(fd_, at, bytes);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail(path_, errno);
      at += written;
      bytes -= size_t(written);
    }
  }

  void keep() {
    if (::fsync(fd_) != 0) fail(path_, errno);
    if (::close(std::exchange(fd_, -1)) != 0) fail(path_, errno);
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail(path_, errno);
    kept_ = true;
    const std::string folder = std::filesystem::path(path_).parent_path().string();
    const int folder_fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_fd < 0) return;
    ::fsync(folder_fd);  // WHY unchecked: some file systems refuse it for folders; the file itself is safe
    ::close(folder_fd);
  }

 private:
  std::string path_, temporary_;
  int fd_ = -1;
  bool kept_ = false;
};

}  // namespace

void write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                       const std::vector<std::pair<std::string, std::string>>& metadata) {
  const std::string header = header_of(tensors, metadata);
  const uint64_t length = header.size();
  TemporaryFile file(path);
  file.write(&length, sizeof length);
  file.write(header.data(), header.size());
  std::vector<uint16_t> narrow;
  for (const TensorToWrite& tensor : tensors) {
    const std::vector<float> values = tensor.values();
    if (values.size() != element_count(tensor.shape)) {
      throw Error(ErrorCode::kInternal, "tensor " + tensor.name + " has another size than its shape says");
    }
    if (tensor.dtype == DType::kF32) {
      file.write(values.data(), values.size() * sizeof(float));
      continue;
    }
    narrow.resize(values.size());
    for (size_t i = 0; i < values.size(); ++i) narrow[i] = f32_to_bf16(values[i]);
    file.write(narrow.data(), narrow.size() * sizeof(uint16_t));
  }
  file.keep();
}

}  // namespace mmprm
