// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "checkpoint/contents.hpp"

namespace rankview::checkpoint {

void Contents::read(File& file, std::uint32_t journal, ReadSoFar& so_far, Damage& damage) {
  std::vector<bool>& known = so_far.known;
  Reading reading;
  reading.origin = [](const Origin& origin) {
    if (origin.format != format_version) throw OfLaterVersion{origin.format};
  };
  reading.callable = [&](std::uint32_t number, const Callable& callable) {
    constexpr std::uint32_t most = 1U << 20U;
    if (number >= most) return;
    if (number >= known.size()) known.resize(number + 1);
    const auto [type, first] = result_types.try_emplace({callable.name, callable.version}, callable.result);
    known[number] = first || type->second == callable.result;
  };
  reading.finished = [&](const Finished& finished) {
    ++(finished.failed ? so_far.failures : so_far.results);
    // Of what has lost its name nobody knows the type.
    if (finished.callable >= known.size() || !known[finished.callable] || finished.entry >> Place::offset_bits != 0) {
      ++so_far.nameless;
    } else {
      index.add(finished.key, {journal, finished.entry, finished.failed});
    }
  };
  so_far.end = read_frames(file, so_far.end, reading, damage);
}

}  // namespace rankview::checkpoint
