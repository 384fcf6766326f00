// Published quantised weights: what their tensors say about a matrix [N, K].
#pragma once
#include <map>
#include <optional>
#include <string>

#include "formats/checkpoint.h"
#include "formats/derived_tensor.h"

namespace mmprm {

struct QuantizedMatrix {
  std::string name;                // of the matrix they stand for: "….weight"
  std::vector<std::string> parts;  // the tensors that it is made of
  std::string dtype_name;          // how it is stored
  int64_t rows_N = 0, cols_K = 0;
  std::string file;
  DerivedTensor::Fill fill;  // reads the mapped files
};

// Every matrix that the tensors hold in the form that "quantization_config" names: "fp8" (E4M3 with scales of
// blocks, rows or the whole; also as "compressed-tensors" in the form "float-quantized"), "gptq" and "awq" (integers of 4 or 8 bits). None without such a config. Throws
// kUnsupportedModel naming key and value for other methods, bits and packings, kInvalidModel naming the tensor
// where its parts are missing or do not fit each other.
std::vector<QuantizedMatrix> find_quantized(const Json& config, const std::string& config_path,
                                            const std::map<std::string, TensorView>& tensors);

}  // namespace mmprm
