// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "capture/outputs.hpp"
#include "controller/checkpointed.hpp"

#include <rankview/detail/call.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

// What the controller knows of few calls.
namespace rankview::inline abi_0_1::detail {

// An item that a team of engines runs, while some of them have not ended it.
struct TeamItem {
  std::size_t pending = 0;
  std::exception_ptr error;
  bool again = false;  // one of them has died, and when the others have ended it, it is to be run anew; whatever they say of it
};

// How an item has fared so far that was not run to its end the first time.
struct Attempts {
  std::vector<int> tried;    // engines where it failed
  std::vector<int> refused;  // engines whose predicate said no
  std::vector<std::string> errors;
  std::vector<std::string> deaths;  // engines that have died while they ran it, each with how
  bool suspect = false;             // an engine has died that had it and others, and nobody knows which of them ran
};

// An error that may be of a class of the program's, and what it says.
struct ToldError {
  std::exception_ptr error;
  std::string text;
};

// A call some of whose arguments are results: when these are there, encode() makes its one item.
struct Deferred {
  Dependency arguments{};
  EncodeArguments encode{};
  bool plain = false;    // which runs no code of the user's
  bool by_value = true;  // as it is encoded now
  std::uint64_t first_ticket = 0;
  std::vector<std::int32_t> holders{};  // engines that deliver arguments of it as it is encoded now, under the tickets from that one on
  int placed = -1;                      // the engine that it was left to, which has a long argument
};

using PublishedValues = std::map<std::string, std::shared_ptr<const PublishedValue>, std::less<>>;

// What the last attempt at an item has printed that has printed anything.
struct PrintedBy {
  unsigned attempt = 0;
  std::map<int, capture::Texts> engines;  // one, but for teams
};

// Indices of items in the order in which they end, for whoever reads them so.
struct CompletionFeed {
  std::deque<std::uint64_t> ended;
};

// A feed that a call tells the ends of its items, item 0 as number `first`; several calls may share one.
struct Feeding {
  std::weak_ptr<CompletionFeed> feed;
  std::uint64_t first = 0;
};

// What few calls have. Set before the submission: the first four; the rest is under the controller's lock.
struct Uncommon {
  std::string label;
  std::vector<std::vector<int>> teams;  // where each item is run by one of these
  Deferred deferred;
  Rare<Checkpointed> checkpointed;

  Rare<std::map<int, std::uint64_t>> team_numbers;     // of these teams, by engine
  Rare<std::map<std::uint64_t, TeamItem>> team_items;  // those that are being run
  Rare<std::map<std::uint64_t, Attempts>> attempts;    // by item, of those that failed before or were refused
  std::uint64_t given_back = 0;                        // items that the run did not come to
  std::exception_ptr doomed;                           // its items cannot run
  Rare<std::vector<ToldError>> told;                   // of its errors, those that are not made by rankview
  Rare<std::set<std::uint64_t>> given_up;              // items that were given up one by one when an engine had them
  std::vector<Feeding> feeds;
  std::vector<std::shared_ptr<Continuation>> continuations;
  Rare<std::map<std::uint64_t, PublishedValues>> published;          // by item
  Rare<std::map<std::uint64_t, PrintedBy>> printed;                  // likewise
  std::vector<int> object_holders;                                   // engines that hold the callable's state
  Rare<std::set<std::pair<std::uint64_t, std::uint64_t>>> subtasks;  // by item, the calls in flight that its task has submitted
};

}  // namespace rankview::detail
