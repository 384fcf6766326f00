#include "train/train_plan.h"

#include <algorithm>
#include <map>

namespace mmprm {
namespace {

class Planner {
 public:
  explicit Planner(const std::vector<TrainSequence>& sequences)
      : sequences_(sequences), rows_(sequences.size()) {
    plan_.terms_of.resize(sequences.size());
  }

  // One tree, or several where the first tokens differ already.
  void add_group(const std::vector<int>& members) {
    for (const auto& [token, same] : by_next_token(members, 0)) {
      add_segment(same, 0, -1);
      plan_.tree_begin_1.push_back(static_cast<int32_t>(plan_.segments.size()));
    }
  }

  TrainPlan finish() {
    for (size_t s = 0; s < sequences_.size(); ++s) add_terms(s);
    std::stable_sort(plan_.marker_terms.begin(), plan_.marker_terms.end(),
                     [](const MarkerTerm& a, const MarkerTerm& b) { return a.row < b.row; });
    merge_token_terms();
    return std::move(plan_);
  }

 private:
  const std::vector<int32_t>& tokens(int s) const { return sequences_[s].tokens; }

  std::map<int32_t, std::vector<int>> by_next_token(const std::vector<int>& members, size_t at) const {
    std::map<int32_t, std::vector<int>> groups;
    for (int s : members) {
      if (at < tokens(s).size()) groups[tokens(s)[at]].push_back(s);
    }
    return groups;
  }

  // How far the members agree, from `at`, where all have a token.
  size_t shared_end(const std::vector<int>& members, size_t at) const {
    const std::vector<int32_t>& first = tokens(members[0]);
    size_t end = first.size();
    for (int s : members) {
      const size_t most = std::min(end, tokens(s).size());
      end = std::mismatch(first.begin() + at, first.begin() + most, tokens(s).begin() + at).first -
            first.begin();
    }
    return end;
  }

  // INVARIANT: recursion is bounded by the number of members, which becomes
  // smaller with every level or splits.
  void add_segment(const std::vector<int>& members, size_t at, int parent) {
    const size_t end = shared_end(members, at);
    const int index = static_cast<int>(plan_.segments.size());
    plan_.segments.push_back({plan_.num_rows(), static_cast<int32_t>(end - at), parent});
    for (size_t i = at; i < end; ++i) {
      for (int s : members) rows_[s].push_back(plan_.num_rows());
      plan_.tokens_T.push_back(tokens(members[0])[i]);
      plan_.positions_T.push_back(static_cast<int32_t>(i));
      if (const std::vector<RopeAxes>& axes = sequences_[members[0]].axes; !axes.empty())
        plan_.axes_T.push_back(axes[i]);
    }
    plan_.max_keys = std::max(plan_.max_keys, static_cast<int>(end));
    for (const auto& [token, same] : by_next_token(members, end)) add_segment(same, end, index);
  }

  void add_terms(size_t s) {
    const TrainSequence& sequence = sequences_[s];
    plan_.num_tokens += static_cast<int64_t>(sequence.tokens.size());
    for (size_t i = 1; i < sequence.token_weights.size(); ++i) {
      if (sequence.token_weights[i] == 0) continue;
      token_terms_.push_back(
          {{rows_[s][i - 1], sequence.tokens[i], sequence.token_weights[i]}, static_cast<int32_t>(s)});
    }
    for (size_t i = 0; i < sequence.markers.size(); ++i) {
      plan_.marker_terms.push_back({rows_[s][sequence.markers[i]], sequence.labels[i],
                                    sequence.marker_weights[i], static_cast<int32_t>(s),
                                    static_cast<int32_t>(i), sequence.siblings});
    }
  }

  void merge_token_terms() {
    std::vector<TokenTerm>& merged = plan_.token_terms;
    std::stable_sort(token_terms_.begin(), token_terms_.end(), [](const TokenTerm& a, const TokenTerm& b) {
      return a.row != b.row ? a.row < b.row : a.target < b.target;
    });
    for (const PlacedTerm& term : token_terms_) {
      if (!merged.empty() && merged.back().row == term.row && merged.back().target == term.target) {
        merged.back().weight += term.weight;
      } else {
        merged.push_back(term);
      }
      // Rows of a sequence rise, so its terms come in their own order.
      plan_.terms_of[term.sequence].push_back(static_cast<int32_t>(merged.size()) - 1);
    }
  }

  struct PlacedTerm : TokenTerm {
    int32_t sequence = 0;
  };

  const std::vector<TrainSequence>& sequences_;
  std::vector<std::vector<int32_t>> rows_;  // of each sequence's tokens
  std::vector<PlacedTerm> token_terms_;
  TrainPlan plan_;
};

}  // namespace

TrainPlan plan_training(const std::vector<TrainSequence>& sequences) {
  std::map<int32_t, std::vector<int>> groups;
  for (size_t s = 0; s < sequences.size(); ++s) groups[sequences[s].group].push_back(static_cast<int>(s));
  Planner planner(sequences);
  for (const auto& [group, members] : groups) planner.add_group(members);
  return planner.finish();
}

}  // namespace mmprm
