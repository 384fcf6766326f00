#include "golden.h"

#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/content_hash.h"
#include "formats/checkpoint.h"
#include "formats/json.h"
#include "formats/safetensors.h"

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
  const std::vector<int64_t>& shape(const std::string& name) const { return entry(name).shape; }
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

std::array<float, 3> channels(const Json& settings, const char* key, std::array<float, 3> otherwise) {
  if (const Json* list = settings.find(key)) {
    for (size_t c = 0; c < 3; ++c) otherwise[c] = static_cast<float>(list->items().at(c).as_double());
  }
  return otherwise;
}

// Back from normalised planes [tiles, 3, height, width] to the bytes that they were made of.
PicturePtr picture_of(const std::vector<float>& planes, const std::vector<int64_t>& shape,
                      const Json& settings) {
  auto picture = std::make_shared<Picture>();
  picture->num_tiles = int(shape.at(0)), picture->height = int(shape.at(2)),
  picture->width = int(shape.at(3));
  picture->mean = channels(settings, "image_mean", {0.485f, 0.456f, 0.406f});
  picture->std = channels(settings, "image_std", {0.229f, 0.224f, 0.225f});
  picture->pixels.resize(planes.size());
  const size_t plane = size_t(picture->height) * picture->width;
  for (size_t i = 0; i < planes.size(); ++i) {
    const size_t tile = i / (3 * plane), channel = i / plane % 3, at = i % plane;
    const float value = (planes[i] * picture->std[channel] + picture->mean[channel]) * 255;
    picture->pixels[(tile * plane + at) * 3 + channel] = static_cast<uint8_t>(std::lround(value));
  }
  const ContentHash content = content_hash(picture->pixels.data(), picture->pixels.size());
  picture->content = {content.low, content.high};
  return picture;
}

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
        tensors_(folder + "/golden.safetensors") {
    int index = 0;
    for (const Json& c : field(json_, "cases", path_).items()) {
      if (field(c, "kind", path_).as_string() == "vision") read_picture(c, index);
      ++index;
    }
  }

  Model read() {
    Model model;
    model.name = std::filesystem::path(folder_).filename();
    model.folder = folder_;
    int index = 0;
    for (const Json& c : field(json_, "cases", path_).items()) {
      const std::string name = std::to_string(index++) + " " + field(c, "kind", path_).as_string();
      read_case(c, name, model);
    }
    return model;
  }

 private:
  struct Seen {
    PicturePtr picture;
    int num_tokens = 0;
  };

  static std::string picture_name(const Json& c, const std::string& where) {
    return field(c, "image", where).as_string() + " in at most " +
           std::to_string(field(c, "maxTiles", where).as_integer()) + " tiles";
  }

  void read_picture(const Json& c, int index) {
    const std::string where = path_ + ": case " + std::to_string(index);
    const std::string pixels = field(field(c, "tensors", where), "pixels", where).as_string();
    const Checkpoint config = Checkpoint::open_config(folder_);
    Seen& seen = pictures_[picture_name(c, where)];
    seen.picture =
        picture_of(tensors_.values(pixels), tensors_.shape(pixels), config.preprocessor().settings);
    seen.num_tokens = seen.picture->num_tiles * int(field(c, "tokensPerTile", where).as_integer());
  }

  void read_case(const Json& c, const std::string& name, Model& model) {
    const std::string kind = field(c, "kind", path_).as_string(), where = path_ + ": case " + name;
    if (kind == "chat" || kind == "trainIds") return;  // ids alone: nothing computes
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
    if (c.find("image") && !add_picture(c, where, out)) {
      model.left_out.push_back(name + ": no vision case holds the pixels of " + picture_name(c, where));
      return;
    }
    for (const JsonMember& t : field(c, "tensors", where).members())
      out.tensors[t.key] = tensors_.values(t.value.as_string());
    if (kind == "vision") {
      out.kind = Kind::kVision;
    } else if (kind == "logits" || kind == "logitsRows" || kind == "chatImage") {
      out.kind = Kind::kLogits;
      out.wanted.push_back(c.find("rows") ? ids_of(*c.find("rows")) : all_positions(out.sequences[0]));
      const Json* greedy = c.find("greedy");
      if (greedy && !greedy->is_null()) model.cases.push_back(greedy_case(out, c, *greedy, where));
    } else if (kind == "score" || kind == "scoreSolutions") {
      out.kind = Kind::kScore;
      read_scores(c, where, out);
    } else if (kind == "greedy") {
      out = greedy_case(out, c, field(c, "expected", where), where);
    } else {
      wrong(where + ": unknown kind");
    }
    model.cases.push_back(std::move(out));
  }

  bool add_picture(const Json& c, const std::string& where, Case& out) const {
    const auto found = pictures_.find(picture_name(c, where));
    if (found == pictures_.end()) return false;
    out.picture = found->second.picture;
    if (!out.sequences.empty())
      out.image_token = image_token_of(out.sequences[0], found->second.num_tokens, where);
    return true;
  }

  static Ids all_positions(const Ids& ids) {
    Ids all(ids.size());
    for (size_t i = 0; i < all.size(); ++i) all[i] = int32_t(i);
    return all;
  }

  static Case greedy_case(Case like, const Json& c, const Json& expected, const std::string& where) {
    like.kind = Kind::kGreedy;
    like.name += ": greedy";
    like.tensors.clear();
    like.wanted.clear();
    like.tokens = ids_of(expected);
    like.max_tokens = c.find("maxTokens") ? int(c.find("maxTokens")->as_integer()) : int(like.tokens.size());
    like.stop_ids = ids_of(field(c, "stopIds", where));
    return like;
  }

  static void read_scores(const Json& c, const std::string& where, Case& out) {
    const auto marker = static_cast<int32_t>(field(c, "marker", where).as_integer());
    for (const Ids& ids : out.sequences) {
      Ids& at = out.wanted.emplace_back();
      for (size_t i = 0; i < ids.size(); ++i) {
        if (ids[i] == marker) at.push_back(int32_t(i));
      }
    }
    if (const Json* pair = c.find("rewardIds")) {
      out.has_pair = true;
      for (int i = 0; i < 2; ++i) out.pair[i] = static_cast<int32_t>(pair->items().at(i).as_integer());
    }
    const Json& scores = field(c, "scores", where);
    if (field(c, "kind", where).as_string() == "score") {
      out.scores.push_back(floats_of(scores));
    } else {
      for (const Json& solution : scores.items()) out.scores.push_back(floats_of(solution));
    }
  }

  std::string folder_, path_;
  MappedFile text_;
  Json json_;
  Tensors tensors_;
  std::map<std::string, Seen> pictures_;
};

}  // namespace

Model read_model(const std::string& folder) { return Reader(folder).read(); }

}  // namespace mmprm::golden
