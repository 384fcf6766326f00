// What was run on a device, and all that was wrong with it.
#pragma once
#include "hashes.h"
#include "outcome.h"

namespace mmprm::golden {

std::string json_text(const std::string& text);

struct Report {
  DeviceSummary device;
  std::vector<std::string> failures, left_out, runs;
  int compared = 0, hashes = 0, without_hash = 0;

  void require(bool condition, const std::string& what);
  // Of a case, against the trusted implementation.
  void compare_golden(const Case& c, const Outcome& got, const std::string& where);
  // Of a case in bf16, against this device's own f32.
  void compare_bf16(const Case& c, const Outcome& got, const Outcome& f32, const std::string& where);
  void compare_hash(const ModelHashes& recorded, const std::string& weights, const std::string& model,
                    const ModelHash& hash, const std::string& where);
  void write_json(const std::string& path) const;
};

}  // namespace mmprm::golden
