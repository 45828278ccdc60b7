// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "checkpoint/leases.hpp"
#include "controller/call_registry.hpp"
#include "controller/checkpointed.hpp"

#include <rankview/detail/call.hpp>
#include <rankview/task_id.hpp>

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

namespace rankview::controller {

// Items that wait for a lease, since other jobs use their checkpoint, too: they stand in no queue until this job has the bucket that they
// fall into. Buckets are got one after the other, when the engines will soon have nothing else, and given back when all that had begun of
// them has ended.
class Shares {
 public:
  explicit Shares(const CallRegistry& calls) : calls_(calls) {}

  // From here on it may be split, whether or not anything of it is to be run: others may have to wait until this job says so. Only one that
  // has a Sharing.
  void add(const std::shared_ptr<checkpoint::Checkpoint>& in);
  // Whether look() may have anything to say; asked in each round.
  [[nodiscard]] bool any_to_look_at() const;
  // How many items wait for other jobs, or for this one to have less to do; of some it may not be known yet that they have been given up.
  [[nodiscard]] std::size_t waiting() const;
  // Whether items of the call have to be asked for here before they are enqueued. Of calls with a checkpoint.
  [[nodiscard]] bool splits(const detail::Call& call) const;
  // Keeps those of the items [begin, end) that wait and are not this job's now. Gives the others.
  std::vector<std::uint64_t> withhold(const detail::Call& call, std::uint64_t begin, std::uint64_t end);
  // Forgets all items of a checkpoint, which are told anew.
  void forget(const checkpoint::Checkpoint* in);
  // Items that are with engines.
  void note_begun(const detail::Call& call, std::uint64_t item);

  // What is to be done about it, after a look at what has changed.
  struct Round {
    // Of these, what waits is to be withheld, and what has been handed out noted as begun; then tell_begun().
    std::vector<const checkpoint::Checkpoint*> to_split;
    // May be found now, or run, by call.
    std::map<std::uint64_t, std::vector<std::uint64_t>> released;
  };
  // These are looked for, or enqueued; until then they are not withheld.
  void note_released(const detail::Call& call, const std::vector<std::uint64_t>& items);
  // `needs`: the engines will soon have nothing else.
  [[nodiscard]] Round look(std::int64_t now, bool needs, std::size_t engines);
  void tell_begun(const checkpoint::Checkpoint* in);

 private:
  static constexpr std::uint32_t buckets = checkpoint::Leases::buckets;

  struct Share {
    std::shared_ptr<checkpoint::Checkpoint> in;
    bool splits = false;
    bool wants = false;
    std::int64_t wanted_at = 0;
    std::bitset<buckets> held;
    std::array<std::vector<TaskId>, buckets> withheld;
    std::array<std::vector<TaskId>, buckets> begun;
  };

  Share& share_of(const detail::Call& call);
  void hear(Share& share, Round& round);
  void release(Share& share, std::uint32_t bucket, Round& round);
  void give_back_idle(Share& share);
  void want_more(Share& share, std::int64_t now, std::size_t engines);
  [[nodiscard]] bool waits(const TaskId& task) const;
  [[nodiscard]] bool runs(const TaskId& task) const;

  const CallRegistry& calls_;
  std::map<const checkpoint::Checkpoint*, Share> shares_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> releasing_;  // by call
  std::int64_t next_look_ = 0;
};

}  // namespace rankview::controller
