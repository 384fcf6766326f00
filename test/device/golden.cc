#include "golden.h"

#include <cstring>
#include <filesystem>
#include <optional>

#include "adapter.h"
#include "formats/json.h"
#include "formats/safetensors.h"
#include "picture.h"

namespace mmprm::golden {
namespace {

using Ids = std::vector<int32_t>;

[[noreturn]] void wrong(const std::string& what) { throw Error(ErrorCode::kInvalidModel, what); }

const Json& field(const Json& object, const char* key, const std::string& where) {
  const Json* found = object.find(key);
  if (!found) wrong(where + ": no \"" + key + "\"");
  return *found;
}

Ids ids_of(const Json& list) {
  Ids ids;
  for (const Json& id : list.items()) ids.push_back(static_cast<int32_t>(id.as_integer()));
  return ids;
}

std::vector<float> floats_of(const Json& list) {
  std::vector<float> values;
  for (const Json& value : list.items()) values.push_back(static_cast<float>(value.as_double()));
  return values;
}

class Tensors {
 public:
  explicit Tensors(const std::string& path) : file_(path) {
    for (SafetensorsEntry& entry : read_safetensors_header(file_)) entries_.emplace(entry.name, entry);
  }
  std::vector<float> values(const std::string& name) const {
    const SafetensorsEntry& e = entry(name);
    if (e.dtype != "F32") wrong(file_.path() + ": " + name + " is " + e.dtype + ", not F32");
    std::vector<float> values((e.end - e.begin) / sizeof(float));
    std::memcpy(values.data(), file_.data() + e.begin, e.end - e.begin);
    return values;
  }

 private:
  const SafetensorsEntry& entry(const std::string& name) const {
    const auto found = entries_.find(name);
    if (found == entries_.end()) wrong(file_.path() + ": no tensor " + name);
    return found->second;
  }

  MappedFile file_;
  std::map<std::string, SafetensorsEntry> entries_;
};

// The id that stands for the rows of a picture: the one that fills a run of just that length.
int32_t image_token_of(const Ids& ids, int num_rows, const std::string& where) {
  for (size_t begin = 0, end; begin < ids.size(); begin = end) {
    for (end = begin; end < ids.size() && ids[end] == ids[begin];) ++end;
    if (int(end - begin) == num_rows) return ids[begin];
  }
  wrong(where + ": no run of " + std::to_string(num_rows) + " equal ids for the picture");
}

class Reader {
 public:
  explicit Reader(const std::string& folder)
      : folder_(folder),
        path_(folder + "/golden.json"),
        text_(path_),
        json_(Json::parse({reinterpret_cast<const char*>(text_.data()), text_.size()}, path_)),
        tensors_(folder + "/golden.safetensors") {}

  Model read() {
    Model model;
    model.name = std::filesystem::path(folder_).filename();
    model.folder = folder_;
    if (const Json* base = json_.find("base")) {
      model.folder = std::filesystem::path(folder_).parent_path() / base->as_string();
      model.adapters.push_back(read_adapter(folder_));
    }
    int index = 0;
    for (const Json& c : field(json_, "cases", path_).items()) {
      const std::string name = std::to_string(index++) + " " + field(c, "kind", path_).as_string();
      read_case(c, name, model);
    }
    return model;
  }

 private:
  void read_case(const Json& c, const std::string& name, Model& model) {
    const std::string kind = field(c, "kind", path_).as_string(), where = path_ + ": case " + name;
    // Ids and sizes: nothing computes on a device.
    if (kind == "chat" || kind == "trainIds" || kind == "smartResize") return;
    Case out;
    out.name = name;
    if (c.find("inputIds")) {
      const Json& ids = *c.find("inputIds");
      if (kind == "scoreSolutions") {
        for (const Json& solution : ids.items()) out.sequences.push_back(ids_of(solution));
      } else {
        out.sequences.push_back(ids_of(ids));
      }
    }
    add_pictures(c, where, out);
    for (const JsonMember& t : field(c, "tensors", where).members())
      out.tensors[t.key] = tensors_.values(t.value.as_string());
    if (kind == "vision") {
      out.kind = Kind::kVision;
    } else if (kind == "logits" || kind == "logitsRows" || kind == "chatImage") {
      out.kind = Kind::kLogits;
      out.wanted.push_back(c.find("rows") ? ids_of(*c.find("rows")) : all_positions(out.sequences[0]));
      const Json* greedy = c.find("greedy");
      if (greedy && !greedy->is_null()) model.cases.push_back(greedy_case(out, c, *greedy));
    } else if (kind == "score" || kind == "scoreSolutions") {
      out.kind = Kind::kScore;
      read_scores(c, where, out);
    } else if (kind == "greedy") {
      out = greedy_case(out, c, field(c, "expected", where));
    } else {
      wrong(where + ": unknown kind");
    }
    model.cases.push_back(std::move(out));
  }

  void add_pictures(const Json& c, const std::string& where, Case& out) {
    std::vector<std::string> files;
    if (const Json* image = c.find("image")) files.push_back(image->as_string());
    if (const Json* images = c.find("images")) {
      for (const Json& image : images->items()) files.push_back(image.as_string());
    }
    if (files.empty()) return;
    if (!maker_) maker_.emplace(folder_);
    const int max_tiles = c.find("maxTiles") ? int(c.find("maxTiles")->as_integer()) : 0;
    for (const std::string& file : files) out.pictures.push_back(maker_->make(file, max_tiles));
    if (!out.sequences.empty())
      out.image_token = image_token_of(out.sequences[0], maker_->num_tokens(*out.pictures[0]), where);
  }

  static Ids all_positions(const Ids& ids) {
    Ids all(ids.size());
    for (size_t i = 0; i < all.size(); ++i) all[i] = int32_t(i);
    return all;
  }

  static Case greedy_case(Case like, const Json& c, const Json& expected) {
    like.kind = Kind::kGreedy;
    like.name += ": greedy";
    like.tensors.clear();
    like.wanted.clear();
    like.tokens = ids_of(expected);
    like.max_tokens = c.find("maxTokens") ? int(c.find("maxTokens")->as_integer()) : int(like.tokens.size());
    if (const Json* stop = c.find("stopIds")) like.stop_ids = ids_of(*stop);
    return like;
  }

  // Scores are read at the places of the marker, or where "positions" says.
  static void read_scores(const Json& c, const std::string& where, Case& out) {
    const bool one = field(c, "kind", where).as_string() == "score";
    if (const Json* positions = c.find("positions")) {
      if (one) out.wanted.push_back(ids_of(*positions));
      for (const Json& solution : positions->items()) {
        if (!one) out.wanted.push_back(ids_of(solution));
      }
    } else {
      const auto marker = static_cast<int32_t>(field(c, "marker", where).as_integer());
      for (const Ids& ids : out.sequences) {
        Ids& at = out.wanted.emplace_back();
        for (size_t i = 0; i < ids.size(); ++i) {
          if (ids[i] == marker) at.push_back(int32_t(i));
        }
      }
    }
    if (const Json* pair = c.find("rewardIds")) {
      out.has_pair = true;
      for (int i = 0; i < 2; ++i) out.pair[i] = static_cast<int32_t>(pair->items().at(i).as_integer());
    }
    const Json& scores = field(c, "scores", where);
    if (one) {
      out.scores.push_back(floats_of(scores));
    } else {
      for (const Json& solution : scores.items()) out.scores.push_back(floats_of(solution));
    }
  }

  std::string folder_, path_;
  MappedFile text_;
  Json json_;
  Tensors tensors_;
  std::optional<PictureMaker> maker_;
};

}  // namespace

Model read_model(const std::string& folder) { return Reader(folder).read(); }

}  // namespace mmprm::golden
