#include "formats/quantized.h"

#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/float_types.h"
#include "include/engine/error.h"

namespace mmprm {
namespace {

using Tensors = std::map<std::string, TensorView>;

constexpr int64_t kDefaultBlock = 128;

// "quantization_config", where it stands, with complaints that name file and key.
struct Settings {
  const Json& json;
  std::string where;

  [[noreturn]] void unsupported(const char* key, const std::string& what) const {
    throw Error(ErrorCode::kUnsupportedModel, where + "." + key + "\" " + what);
  }
  [[noreturn]] void invalid(const char* key, const std::string& what) const {
    throw Error(ErrorCode::kInvalidModel, where + "." + key + "\" " + what);
  }
  const Json* find(const char* key) const {
    const Json* value = json.find(key);
    return value && !value->is_null() ? value : nullptr;
  }
  std::string text_or(const char* key, const char* fallback) const {
    const Json* value = find(key);
    if (!value) return fallback;
    if (!value->is_string()) invalid(key, std::string("must be a string, not ") + value->kind_name());
    return value->as_string();
  }
  int64_t integer(const char* key, int64_t fallback) const {
    const Json* value = find(key);
    if (!value) return fallback;
    if (!value->is_integer()) invalid(key, std::string("must be a whole number, not ") + value->kind_name());
    return value->as_integer();
  }
};

std::optional<Settings> find_settings(const Json& config, const std::string& path) {
  for (const char* nested : {"", "llm_config", "text_config"}) {
    const Json* object = *nested ? config.find(nested) : &config;
    const Json* found = object && object->is_object() ? object->find("quantization_config") : nullptr;
    if (!found || found->is_null()) continue;
    const std::string where =
        path + ": \"" + (*nested ? std::string(nested) + "." : "") + "quantization_config";
    if (!found->is_object()) throw Error(ErrorCode::kInvalidModel, where + "\" must be an object");
    return Settings{*found, where};
  }
  return std::nullopt;
}

[[noreturn]] void fail(const TensorView& view, const std::string& what) {
  throw Error(ErrorCode::kInvalidModel, view.file + ": tensor \"" + view.name + "\" " + what);
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) out += (i ? ", " : "") + std::to_string(shape[i]);
  return out + "]";
}

const TensorView* find(const Tensors& tensors, const std::string& name) {
  const auto at = tensors.find(name);
  return at == tensors.end() ? nullptr : &at->second;
}

// --- FP8 ---------------------------------------------------------------------------------------------------------

// E4M3 without infinities: 4 bits of exponent with bias 7, 3 of mantissa, and one NaN of each sign.
std::array<float, 256> e4m3_values() {
  std::array<float, 256> values{};
  for (int i = 0; i < 256; ++i) {
    const int exponent = (i >> 3) & 15, mantissa = i & 7;
    float v =
        exponent == 0 ? std::ldexp(float(mantissa), -9) : std::ldexp(float(8 + mantissa), exponent - 10);
    if ((i & 127) == 127) v = std::numeric_limits<float>::quiet_NaN();
    values[size_t(i)] = i < 128 ? v : -v;
  }
  return values;
}

// Rows and columns that share a scale.
struct Blocks {
  int64_t rows, cols;
};

Blocks scale_blocks(const TensorView& weight, const TensorView& scale, const Settings& settings) {
  if (!scale.readable) fail(scale, "is stored as " + scale.dtype_name + "; a scale is BF16, F16 or F32");
  const int64_t N = weight.shape[0], K = weight.shape[1];
  int64_t count = 1;
  for (int64_t extent : scale.shape) count *= extent;
  if (count == 1) return {N, K};
  if (count == N && scale.shape[0] == N) return {1, K};
  int64_t block[2] = {kDefaultBlock, kDefaultBlock};
  if (const Json* size = settings.find("weight_block_size")) {
    const bool pair = size->is_array() && size->items().size() == 2;
    for (size_t i = 0; i < 2; ++i) {
      if (!pair || !size->items()[i].is_integer() || size->items()[i].as_integer() < 1)
        settings.invalid("weight_block_size", "must be two whole numbers from 1 up");
      block[i] = size->items()[i].as_integer();
    }
  }
  const std::vector<int64_t> expected = {(N - 1) / block[0] + 1, (K - 1) / block[1] + 1};
  if (scale.shape != expected)
    fail(scale, "is " + shape_text(scale.shape) + ", but " + shape_text(expected) + " fits " + weight.name +
                    " of " + shape_text(weight.shape) + " in blocks of " + std::to_string(block[0]) + " by " +
                    std::to_string(block[1]));
  return {block[0], block[1]};
}

QuantizedMatrix read_fp8(const TensorView& weight, const Tensors& tensors, const Settings& settings) {
  const std::string module = weight.name.substr(0, weight.name.rfind('.'));
  const TensorView* scale = find(tensors, weight.name + "_scale_inv");
  if (!scale) scale = find(tensors, weight.name + "_scale");
  if (!scale)
    fail(weight, "is stored as " + weight.dtype_name + " without its " + weight.name + "_scale_inv");
  if (weight.shape.size() != 2 || weight.size_bytes == 0)
    fail(weight, "is " + shape_text(weight.shape) + ", not a matrix");
  const Blocks blocks = scale_blocks(weight, *scale, settings);
  QuantizedMatrix out;
  out.name = weight.name;
  // What activations are multiplied by is of no account where they stay as they are.
  for (const std::string& part : {scale->name, module + ".input_scale", module + ".activation_scale"}) {
    if (tensors.contains(part)) out.parts.push_back(part);
  }
  out.dtype_name = weight.dtype_name;
  out.rows_N = weight.shape[0];
  out.cols_K = weight.shape[1];
  out.file = weight.file;
  out.fill = [weight, scale = *scale, blocks](float* values) {
    static const std::array<float, 256> table = e4m3_values();
    const int64_t N = weight.shape[0], K = weight.shape[1], per_row = (K - 1) / blocks.cols + 1;
    for (int64_t n = 0; n < N; ++n) {
      for (int64_t k = 0; k < K; ++k) {
        const size_t block = size_t(n / blocks.rows * per_row + k / blocks.cols), at = size_t(n * K + k);
        values[at] =
            table[std::to_integer<size_t>(weight.data[at])] * load_as_f32(scale.data, scale.dtype, block);
      }
    }
  };
  return out;
}

// --- GPTQ and AWQ ------------------------------------------------------------------------------------------------

uint32_t load_word(const TensorView& view, size_t i) {
  uint32_t word;
  std::memcpy(&word, view.data + i * sizeof word, sizeof word);
  return word;
}

// Integers of few bits, packed into words; a word's places are its bits from the lowest up.
struct IntegerFormat {
  bool awq;
  int bits;
  int64_t group_size;  // of inputs that share scale and zero point; -1: all
  int zero_offset;     // what a stored zero point lacks
  int per_word() const { return 32 / bits; }
};

// AWQ puts output c of each eight where its kernels want it.
constexpr int kAwqPlace[8] = {0, 4, 1, 5, 2, 6, 3, 7};

struct IntegerParts {
  TensorView weight, zeros, scales;
  std::optional<TensorView> groups;  // of each input; absent: in turn
};

void want_words(const TensorView& view, const std::vector<int64_t>& shape, const TensorView& weight) {
  if (view.dtype_name != "I32" && view.dtype_name != "U32")
    fail(view, "is stored as " + view.dtype_name + ", not I32");
  if (view.shape != shape)
    fail(view, "is " + shape_text(view.shape) + ", but " + shape_text(shape) + " fits " + weight.name +
                   " of " + shape_text(weight.shape));
}

void check_groups(const TensorView& groups, int64_t cols_K, int64_t num_groups, const TensorView& weight) {
  want_words(groups, {cols_K}, weight);
  for (int64_t k = 0; k < cols_K; ++k) {
    if (load_word(groups, size_t(k)) >= uint64_t(num_groups))
      fail(groups, "names group " + std::to_string(int32_t(load_word(groups, size_t(k)))) + " of " +
                       std::to_string(num_groups));
  }
}

void unpack_integers(const IntegerFormat& f, const IntegerParts& p, int64_t N, int64_t K, float* values) {
  const int64_t per_word = f.per_word(), words_N = N / per_word;
  const uint32_t mask = (uint32_t{1} << f.bits) - 1;
  const auto place = [&](int64_t n) { return (f.awq ? kAwqPlace[n % 8] : int(n % per_word)) * f.bits; };
  for (int64_t k = 0; k < K; ++k) {
    const int64_t g = p.groups ? load_word(*p.groups, size_t(k)) : f.group_size < 0 ? 0 : k / f.group_size;
    for (int64_t n = 0; n < N; ++n) {
      const uint32_t word = f.awq ? load_word(p.weight, size_t(k * words_N + n / per_word))
                                  : load_word(p.weight, size_t(k / per_word * N + n));
      const int shift = f.awq ? place(n) : int(k % per_word) * f.bits;
      const uint32_t zero_word = load_word(p.zeros, size_t(g * words_N + n / per_word));
      const uint32_t zero = ((zero_word >> place(n)) + uint32_t(f.zero_offset)) & mask;
      const float scale = load_as_f32(p.scales.data, p.scales.dtype, size_t(g * N + n));
      values[n * K + k] = float(int32_t((word >> shift) & mask) - int32_t(zero)) * scale;
    }
  }
}

QuantizedMatrix read_integers(const TensorView& weight, const Tensors& tensors, const IntegerFormat& f) {
  const std::string module = weight.name.substr(0, weight.name.rfind('.'));
  const TensorView *zeros = find(tensors, module + ".qzeros"), *scales = find(tensors, module + ".scales"),
                   *groups = find(tensors, module + ".g_idx");
  if (!zeros || !scales) fail(weight, "has no " + module + (zeros ? ".scales" : ".qzeros") + " beside it");
  if (weight.shape.size() != 2 || weight.size_bytes == 0)
    fail(weight, "is " + shape_text(weight.shape) + ", not a matrix");
  const int64_t N = weight.shape[1] * (f.awq ? f.per_word() : 1),
                K = weight.shape[0] * (f.awq ? 1 : f.per_word());
  want_words(weight, weight.shape, weight);
  const int64_t size = f.group_size < 0 ? K : f.group_size, num_groups = (K - 1) / size + 1;
  if (N % f.per_word() != 0) fail(weight, "has " + std::to_string(N) + " outputs, which fill no words");
  want_words(*zeros, {num_groups, N / f.per_word()}, weight);
  if (!scales->readable)
    fail(*scales, "is stored as " + scales->dtype_name + "; scales are F16, BF16 or F32");
  if (scales->shape != std::vector<int64_t>{num_groups, N})
    fail(*scales, "is " + shape_text(scales->shape) + ", but " + shape_text({num_groups, N}) + " fits " +
                      weight.name + " in groups of " + std::to_string(size));
  if (groups) check_groups(*groups, K, num_groups, weight);
  QuantizedMatrix out;
  out.name = module + ".weight";
  for (const TensorView* part : {&weight, zeros, scales, groups}) {
    if (part) out.parts.push_back(part->name);
  }
  out.dtype_name = (f.awq ? "AWQ" : "GPTQ") + std::to_string(f.bits);
  out.rows_N = N;
  out.cols_K = K;
  out.file = weight.file;
  IntegerParts parts{weight, *zeros, *scales, groups ? std::optional(*groups) : std::nullopt};
  out.fill = [f, parts, N, K](float* values) { unpack_integers(f, parts, N, K, values); };
  return out;
}

IntegerFormat integer_format(const Settings& settings, bool awq) {
  IntegerFormat f{};
  f.awq = awq;
  f.bits = int(settings.integer(settings.find("w_bit") ? "w_bit" : "bits", 4));
  if (f.bits != 4 && (awq || f.bits != 8))
    settings.unsupported("bits", "is " + std::to_string(f.bits) + (awq ? "; AWQ of 4" : "; GPTQ of 4 or 8") +
                                     " bits can be read");
  f.group_size = settings.integer(settings.find("q_group_size") ? "q_group_size" : "group_size", 128);
  if (f.group_size < 1 && f.group_size != -1) settings.invalid("group_size", "must be -1 or from 1 up");
  const char* key = awq ? "version" : "checkpoint_format";
  const std::string form = settings.text_or(key, awq ? "gemm" : "gptq");
  const bool known = awq ? form == "gemm" || form == "GEMM" : form == "gptq" || form == "gptq_v2";
  if (!known)
    settings.unsupported(key, "is \"" + form + "\"; " + (awq ? "gemm" : "gptq and gptq_v2") + " can be read");
  f.zero_offset = !awq && form == "gptq" ? 1 : 0;
  return f;
}

}  // namespace

std::vector<QuantizedMatrix> find_quantized(const Json& config, const std::string& config_path,
                                            const Tensors& tensors) {
  const std::optional<Settings> settings = find_settings(config, config_path);
  if (!settings) return {};
  const std::string method = settings->text_or("quant_method", "");
  const bool compressed = method == "compressed-tensors", awq = method == "awq";
  const bool fp8 = method == "fp8" || compressed;
  if (!fp8 && !awq && method != "gptq") {
    settings->unsupported("quant_method",
                          "is \"" + method + "\"; fp8, gptq, awq and compressed-tensors can be read");
  }
  const std::string form = settings->text_or("format", "");
  if (compressed && form != "float-quantized")
    settings->unsupported("format", "is \"" + form + "\"; float-quantized can be read");
  const IntegerFormat format = fp8 ? IntegerFormat{} : integer_format(*settings, awq);
  std::vector<QuantizedMatrix> found;
  for (const auto& [name, view] : tensors) {
    if (fp8 && view.dtype_name == "F8_E4M3") found.push_back(read_fp8(view, tensors, *settings));
    if (!fp8 && name.ends_with(".qweight")) found.push_back(read_integers(view, tensors, format));
  }
  return found;
}

}  // namespace mmprm
