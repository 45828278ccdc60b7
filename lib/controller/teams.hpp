// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "controller/engines.hpp"
#include "controller/user_work.hpp"
#include "transport/endpoint.hpp"
#include "transport/team.hpp"
#include "wire/messages.hpp"

#include <rankview/detail/call.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

namespace rankview::controller {

// The teams of engines that rank 0 has made for its views, and what it does in their collective calls.
//
// A team is announced to its engines with the first call that wants it. Making its communicators blocks, so rank 0 waits with it until all
// of them have come to that point, and then goes on with other things meanwhile, since one of them may die. The parts that rank 0 has in a
// team's calls are done one after the other, in the order in which the calls were handed out; those of different teams go on side by side.
class Teams {
 public:
  // So many teams are kept for the next call on the same engines.
  static constexpr std::size_t most = 64;

  // A call is being handed out to these engines: their team, announced to them if it is new.
  std::uint64_t enter(const std::vector<int>& members, Engines& engines);
  // The call is over.
  void leave(std::uint64_t team);

  // Rank 0 has a part in a call that is being handed out to the team. It begins with the next progress(), when the engines have been told.
  void begin(std::uint64_t team, std::shared_ptr<detail::Call> call);

  // An engine has died: the teams that it was in are given up, and made again without it. Gives the calls in which rank 0 had a part.
  std::vector<std::shared_ptr<detail::Call>> lose(int engine);

  // An engine waits for a team to be made. True if that was the last.
  void on_join(std::uint64_t team, int engine);

  // Makes teams whose engines all wait, and takes rank 0's parts further. `over` is called with each call whose part has ended. Whether
  // anything happened, or data is on the move. `work`: makes room for what may have constructors of the program's.
  bool progress(transport::Endpoint& endpoint, const Engines& engines, UserWork& work, const std::function<void(detail::Call&)>& over);

  // Whether rank 0 has nothing to do in any of them.
  [[nodiscard]] bool idle() const { return busy_.empty(); }

 private:
  enum class Phase : std::uint8_t { handed_out, vote, room, announcement, data };
  class MakingRoom;
  // Where data goes that comes to rank 0.
  struct Room {
    bool there = false;
    std::byte* to = nullptr;
  };

  // Rank 0's part in a call, as far as it has come.
  struct Part {
    std::shared_ptr<detail::Call> call;
    Phase phase = Phase::handed_out;
    unsigned rounds = 0;
    std::vector<transport::Vote> votes;
    std::vector<std::uint64_t> counts;
    transport::Vote own;
    transport::Verdict verdict;
    std::shared_ptr<Room> room;  // while it is being made
    std::byte* to = nullptr;
    transport::Team::Begun begun;
  };

  struct Team {
    std::uint64_t number = 0;
    std::vector<int> engines;
    std::size_t joining = 0;
    std::unique_ptr<transport::Assembly> assembly;  // while it is being made
    std::unique_ptr<transport::Team> made;
    std::deque<Part> parts;
    std::size_t calls = 0;
    std::uint64_t used = 0;
  };

  void drop_unused(Engines& engines);
  // Whether the first part has ended, and whether it got any further.
  struct Moved {
    bool any = false;
    bool over = false;
  };
  static Moved move(Team& team, UserWork& work);
  static void start(Team& team, Part& part);
  static bool next(Team& team, Part& part, UserWork& work);
  static void decide(Part& part, UserWork& work);
  static void make_room(Part& part, std::uint64_t count, UserWork& work);

  std::map<std::uint64_t, Team> teams_;
  std::map<std::vector<int>, std::uint64_t> by_engines_;
  std::set<std::uint64_t> broken_;   // numbers of those that were given up
  std::vector<std::uint64_t> busy_;  // teams that are being made, or that have parts
  std::uint64_t next_number_ = 1;
  std::uint64_t assembling_ = 0;  // the team that is being made, one at a time, or 0
  std::uint64_t turns_ = 0;       // that have been
  std::uint64_t uses_ = 0;
};

}  // namespace rankview::controller
