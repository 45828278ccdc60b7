// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/checkpointed_items.hpp"

#include "checkpoint/checkpoint.hpp"
#include "controller/call_life.hpp"

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace rankview::inline abi_0_1::detail {
namespace {

// RANKVIEW_EXPLAIN=1: whether to say of each item that is run why it is.
bool told_to_explain() {
  const char* const wanted = std::getenv("RANKVIEW_EXPLAIN");
  return wanted != nullptr && *wanted != '\0' && std::string_view(wanted) != "0";
}

}  // namespace

CheckpointedItems::CheckpointedItems(const Call& call)
    : call_(call), in_(*call.life().more->checkpointed), keys_(call, in_.as), explains_(told_to_explain()) {}

bool CheckpointedItems::look_up(const Writer& arguments, const Writer::Mark& mark, std::size_t skipped) {
  const checkpoint::Key key = keys_.of(arguments, mark, skipped);
  const std::size_t before = recalled.bytes.size();
  const checkpoint::Found found = in_.in->find(key, recalled.bytes, in_.strict);
  ++items_;
  if (found == checkpoint::Found::result || (found == checkpoint::Found::failure && !in_.retry_failed)) {
    recalled.parts.push_back({key, recalled.bytes.size() - before, found == checkpoint::Found::failure});
    return true;
  }
  if (explains_) {
    const auto text = recalled.bytes.bytes().subspan(before);
    explain(arguments, mark, skipped, {reinterpret_cast<const char*>(text.data()), text.size()});
  }
  recalled.bytes.truncate(before);
  keys.push_back(key);
  return false;
}

// `failure`: how it failed before, or nothing.
void CheckpointedItems::explain(const Writer& arguments, const Writer::Mark& mark, std::size_t skipped, const std::string& failure) const {
  std::string why = failure.empty() ? "new" : "failed before with: " + failure;
  if (failure.empty()) {
    for (const std::string& version : in_.in->versions(in_.as.name)) {
      checkpoint::Callable other = in_.as;
      other.version = version;
      Buffer ignored;
      if (in_.in->find(Keys(call_, other).of(arguments, mark, skipped), ignored) != checkpoint::Found::nothing)
        why = "version changed from \"" + version + "\" to \"" + in_.as.version + "\"";
    }
  }
  std::fprintf(stderr, "rankview: task %llu of %s runs: %s\n", static_cast<unsigned long long>(items_ - 1), in_.as.shown.c_str(),
               why.c_str());
}

}  // namespace rankview::detail
