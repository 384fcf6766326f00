// Adapters over a checkpoint's tensors.
#include <algorithm>
#include <cctype>

#include "base/float_types.h"
#include "formats/checkpoint.h"
#include "include/engine/error.h"

namespace mmprm {
namespace {

constexpr const char* kHead = "lm_head.weight";

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) out += (i ? ", " : "") + std::to_string(shape[i]);
  return out + "]";
}

bool begins_with_number(const std::string& name) { return !name.empty() && std::isdigit(name[0]); }

// The tensor of the base that an adapter calls `target`; null where none is.
// WHY by ends: "model.language_model.layers.0…" of a running model is "language_model.model.layers.0…" in its
// file. The part before a number is never cut off: it says of what kind the numbered ones are.
const TensorView* find_target(const std::map<std::string, TensorView>& tensors, const std::string& target,
                              const std::string& file) {
  const auto exact = tensors.find(target);
  if (exact != tensors.end()) return &exact->second;
  for (std::string end = target; !begins_with_number(end) && std::count(end.begin(), end.end(), '.') > 0;) {
    const TensorView* found = nullptr;
    for (const auto& [name, view] : tensors) {
      if (name != end && !name.ends_with("." + end)) continue;
      if (found)
        throw Error(ErrorCode::kInvalidModel,
                    file + ": \"" + target + "\" may be " + found->name + " or " + name);
      found = &view;
    }
    if (found) return found;
    end.erase(0, end.find('.') + 1);
  }
  return nullptr;
}

class AdapterFile {
 public:
  explicit AdapterFile(const MappedFile& file) : path_(file.path()) {
    for (TensorView& view : tensor_views(file)) {
      const std::string name = view.name;
      tensors_.emplace(name, std::move(view));
    }
  }

  const TensorView& get(const std::string& name) const {
    const auto at = tensors_.find(name);
    if (at == tensors_.end()) throw Error(ErrorCode::kInvalidModel, path_ + ": \"" + name + "\" is missing");
    if (!at->second.readable)
      throw Error(ErrorCode::kInvalidModel, path_ + ": \"" + name + "\" is stored as " +
                                                at->second.dtype_name + "; BF16, F16 and F32 can be read");
    return at->second;
  }

 private:
  std::string path_;
  std::map<std::string, TensorView> tensors_;
};

[[noreturn]] void other_base(const std::string& file, const std::string& folder, const std::string& what) {
  throw Error(ErrorCode::kInvalidModel,
              file + ": " + what + "; is it an adapter of another base than " + folder + "?");
}

void check_matrix(const TensorView& view, const std::vector<int64_t>& shape, const TensorView& base,
                  const std::string& folder) {
  if (view.shape == shape) return;
  other_base(view.file, folder,
             "\"" + view.name + "\" is " + shape_text(view.shape) + ", but " + shape_text(shape) + " fits " +
                 base.name + " of " + shape_text(base.shape));
}

// out[N, K] += scale · B·A, each product summed in double: the bits of a trainer that merges its own adapter.
void add_product(const TensorView& b, const TensorView& a, double scale, float* out) {
  const size_t N = size_t(b.shape[0]), R = size_t(b.shape[1]), K = size_t(a.shape[1]);
  std::vector<float> a_RK(R * K);
  for (size_t i = 0; i < a_RK.size(); ++i) a_RK[i] = load_as_f32(a.data, a.dtype, i);
  std::vector<double> sum_K(K);
  for (size_t n = 0; n < N; ++n) {
    std::fill(sum_K.begin(), sum_K.end(), 0.0);
    for (size_t r = 0; r < R; ++r) {
      const double factor = load_as_f32(b.data, b.dtype, n * R + r);
      for (size_t k = 0; k < K; ++k) sum_K[k] += factor * a_RK[r * K + k];
    }
    for (size_t k = 0; k < K; ++k) out[n * K + k] += float(scale * sum_K[k]);
  }
}

void copy_as_f32(const TensorView& view, float* out) {
  const size_t count = view.size_bytes / dtype_bytes(view.dtype);
  for (size_t i = 0; i < count; ++i) out[i] = load_as_f32(view.data, view.dtype, i);
}

bool ends_as(const std::string& name, const std::string& end) {
  return name == end || name.ends_with("." + end);
}

// A classifier in the place of the vocabulary's head, which the file of a language model does not hold.
bool is_classifier(const std::string& target) {
  for (const char* head : {"score", "classifier"}) {
    if (target == std::string(head) + ".weight" || target == std::string(head) + ".bias") return true;
  }
  return false;
}

}  // namespace

// Gives a base whose head is its embedding a head of its own, where `target` is one: an adapter of the head leaves
// the embedding as it is.
void Checkpoint::untie(const std::string& target) {
  const std::string head = kHead, wrapper = "language_model.";
  if (!ends_as(target, head)) return;
  const TensorView* embed = nullptr;
  for (const auto& [name, view] : tensors_) {
    if (ends_as(name, head)) return;
    if (ends_as(name, "embed_tokens.weight")) embed = &view;
  }
  if (!embed) return;
  TensorView view = *embed;
  // As the layouts with a head name theirs.
  view.name = (embed->name.starts_with(wrapper + "model.") ? wrapper : "") + head;
  view.is_added = true;
  tensors_[view.name] = view;
}

void Checkpoint::add_adapter(const AdapterSource& adapter) {
  files_.push_back(std::make_unique<MappedFile>(adapter.file));
  const AdapterFile file(*files_.back());
  if (adapter.keeps_head) untie(kHead);
  for (const auto& r : adapter.replaced) untie(r.target);
  for (const auto& l : adapter.low_rank) untie(l.target);
  for (const AdapterSource::Replaced& r : adapter.replaced) {
    const TensorView* base = find_target(tensors_, r.target, adapter.file);
    if (!base && is_classifier(r.target)) {
      TensorView view = file.get(r.tensor);
      view.name = r.target;
      view.is_added = true;
      tensors_[view.name] = std::move(view);
      continue;
    }
    if (!base)
      other_base(adapter.file, folder_,
                 "the base has no " + r.target + " to be replaced by \"" + r.tensor + "\"");
    TensorView view = file.get(r.tensor);
    // A vocabulary that grew in training comes whole.
    const bool grown = base->shape.size() == 2 && view.shape.size() == 2 && view.shape[1] == base->shape[1] &&
                       view.shape[0] > base->shape[0] && view.shape[0] < (int64_t{1} << 31);
    if (grown) {
      adapter_vocab_ = view.shape[0];
    } else {
      check_matrix(view, base->shape, *base, folder_);
    }
    view.name = base->name;
    view.is_added = base->is_added;
    tensors_[view.name] = std::move(view);
  }
  for (const AdapterSource::LowRank& l : adapter.low_rank) {
    const TensorView* base = find_target(tensors_, l.target, adapter.file);
    if (!base) other_base(adapter.file, folder_, "the base has no " + l.target + " for \"" + l.a + "\"");
    if (base->shape.size() != 2 || !base->readable || base->size_bytes == 0)
      other_base(adapter.file, folder_,
                 "\"" + l.a + "\" is for " + base->name + ", which is " + shape_text(base->shape) + " of " +
                     base->dtype_name);
    const TensorView &a = file.get(l.a), &b = file.get(l.b);
    check_matrix(a, {l.rank, base->shape[1]}, *base, folder_);
    check_matrix(b, {base->shape[0], l.rank}, *base, folder_);
    DerivedTensor* made = derived_at(base->data);
    DerivedTensor::Fill before = made ? made->fill() : [view = *base](float* out) { copy_as_f32(view, out); };
    derive(*base, [before, a, b, scale = double(float(l.scale))](float* out) {
      before(out);
      add_product(b, a, scale, out);
    });
  }
}

}  // namespace mmprm
