#include "models/tensor_lookup.h"

#include <algorithm>

#include "include/engine/error.h"

namespace mmprm {
namespace {

std::string without(std::string name, std::string_view part) {
  for (size_t at; (at = name.find(part)) != std::string::npos;) name.erase(at, part.size());
  return name;
}

std::string list_of(const char* title, const std::vector<std::string>& lines) {
  if (lines.empty()) return "";
  std::string out = "\n" + std::string(title) + " (" + std::to_string(lines.size()) + "):";
  for (const std::string& line : lines) out += "\n  " + line;
  return out;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) out += (i ? ", " : "") + std::to_string(shape[i]);
  return out + "]";
}

std::vector<int64_t> without_leading_ones(const std::vector<int64_t>& shape) {
  return {std::find_if(shape.begin(), shape.end(), [](int64_t extent) { return extent != 1; }), shape.end()};
}

}  // namespace

bool is_leftover(std::string_view name) {
  for (std::string_view tail : {"rotary_emb.inv_freq", "rotary_emb.cos_cached", "rotary_emb.sin_cached",
                                "embeddings.position_ids", "embeddings.mask_token"}) {
    if (name.ends_with(tail)) return true;
  }
  return false;
}

TensorLookup::TensorLookup(const Checkpoint& checkpoint) : folder_(checkpoint.folder()) {
  std::vector<std::string> adapters;
  for (const auto& [stored, view] : checkpoint.tensors()) {
    if (stored.find("lora_") != std::string::npos) adapters.push_back(stored);
    const std::string name = without(without(stored, "base_model.model."), ".base_layer");
    const auto [at, added] = tensors_.emplace(name, &view);
    if (!added) {
      throw Error(ErrorCode::kInvalidModel,
                  folder_ + ": \"" + stored + "\" and \"" + at->second->name + "\" are the same tensor");
    }
  }
  if (!adapters.empty()) {
    throw Error(ErrorCode::kUnsupportedModel,
                folder_ + ": holds adapters beside the weights; merge them into the weights before opening" +
                    list_of("adapters", adapters));
  }
}

const TensorView* TensorLookup::find(const std::string& name) const {
  const auto at = tensors_.find(name);
  return at == tensors_.end() ? nullptr : at->second;
}

std::string TensorLookup::pick_prefix(const std::vector<std::string>& candidates,
                                      const std::string& probe) const {
  for (const std::string& candidate : candidates) {
    if (has(candidate + probe)) return candidate;
  }
  return candidates.front();
}

const TensorView* TensorLookup::want(const std::string& name, const std::vector<int64_t>& shape,
                                     const std::string& hint) {
  if (used_.insert(name).second) wanted_.push_back({name, shape});
  const TensorView* view = find(name);
  if (!view) {
    missing_.push_back(name + " " + shape_text(shape));
    return nullptr;
  }
  if (without_leading_ones(view->shape) != without_leading_ones(shape)) {
    wrong_.push_back(name + " is " + shape_text(view->shape) + ", the config asks for " + shape_text(shape) +
                     hint);
    return nullptr;
  }
  if (!view->readable) {
    wrong_.push_back(name + " is stored as " + view->dtype_name + "; BF16, F16 and F32 can be read");
    return nullptr;
  }
  return view;
}

MatrixSource TensorLookup::stacked(const std::vector<Part>& parts, int cols) {
  MatrixSource out;
  out.cols = cols;
  for (const Part& part : parts) {
    if (const TensorView* view = want(part.name, {part.rows, cols})) append_rows(out, *view, 0, part.rows);
  }
  return out;
}

MatrixSource TensorLookup::matrix(const std::string& name, int rows, int cols, const std::string& hint) {
  MatrixSource out;
  out.cols = cols;
  if (const TensorView* view = want(name, {rows, cols}, hint)) append_rows(out, *view, 0, rows);
  return out;
}

VectorSource TensorLookup::joined(const std::vector<Part>& parts) {
  VectorSource out;
  for (const Part& part : parts) {
    if (const TensorView* view = want(part.name, {part.rows})) append_elements(out, *view, 0, part.rows);
  }
  return out;
}

void TensorLookup::finish() const {
  std::vector<std::string> unexpected;
  for (const auto& [name, view] : tensors_) {
    if (!used_.contains(name) && !is_leftover(name) && !view->is_spare)
      unexpected.push_back(name + " " + shape_text(view->shape));
  }
  if (missing_.empty() && wrong_.empty() && unexpected.empty()) return;
  throw Error(ErrorCode::kInvalidModel, folder_ + ": the tensors do not fit config.json" +
                                            list_of("missing", missing_) + list_of("wrong", wrong_) +
                                            list_of("unexpected", unexpected));
}

void append_rows(MatrixSource& out, const TensorView& view, int64_t first, int count) {
  const size_t row_bytes = static_cast<size_t>(out.cols) * dtype_bytes(view.dtype);
  out.blocks.push_back({view.data + static_cast<size_t>(first) * row_bytes, view.dtype, count});
  out.rows += count;
}

void append_elements(VectorSource& out, const TensorView& view, int64_t first, int count) {
  out.parts.push_back({view.data + static_cast<size_t>(first) * dtype_bytes(view.dtype), view.dtype, count});
  out.size += count;
}

}  // namespace mmprm
