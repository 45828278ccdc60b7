// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

// Marks on rare branches, so that a test can say that it has come there: RANKVIEW_MARK(name) counts, where the library is built for its
// tests with RANKVIEW_MARKS, and is nothing elsewhere. What a mark is about stands where it is; here are their names.
namespace rankview::marks {

#define RANKVIEW_MARK_NAMES(each)                                                                                                         \
  each(late_result_not_wanted) each(late_result_wanted) each(late_return_run_again) each(expired_attempt_ended)                           \
      each(overdue_attempt_tried_again) each(withdrawn_at_engine) each(killed_while_it_ran) each(argument_gone_from_cache)                \
          each(team_item_again) each(team_item_lost) each(teams_dealt_anew) each(root_part_lost) each(result_lost_on_its_way)             \
              each(crash_limit_reached) each(death_on_suspicion) each(set_aside) each(taken_back) each(aborted_before_rerun)              \
                  each(drained_before_rerun) each(nobody_left_to_rerun) each(subtask_not_wanted) each(stranded_item_moved)                \
                      each(retries_used_up) each(stopped_before_it_began) each(given_back_by_running_batch)                               \
                          each(team_given_up_in_collective) each(batch_of_broken_team) each(team_broken_before_made) each(ended_too_late) \
                              each(gang_broken_by_death) each(gang_member_set_aside) each(engine_kept_for_large) each(found_overdue)

enum class Mark : std::size_t {
#define RANKVIEW_MARK_ENUMERATOR(name) name,
  RANKVIEW_MARK_NAMES(RANKVIEW_MARK_ENUMERATOR)
#undef RANKVIEW_MARK_ENUMERATOR
};

inline constexpr std::array names{
#define RANKVIEW_MARK_TEXT(name) std::string_view(#name),
    RANKVIEW_MARK_NAMES(RANKVIEW_MARK_TEXT)
#undef RANKVIEW_MARK_TEXT
};

using Hits = std::array<std::atomic<std::uint64_t>, names.size()>;

// How often each was come to. A test of several processes may have them count in one place.
inline Hits hits_here{};
inline Hits* hits = &hits_here;

inline std::uint64_t hits_of(Mark mark) { return (*hits)[static_cast<std::size_t>(mark)].load(std::memory_order_relaxed); }

#ifdef RANKVIEW_MARKS
inline constexpr bool counted = true;
#define RANKVIEW_MARK(name) \
  ((*::rankview::marks::hits)[static_cast<std::size_t>(::rankview::marks::Mark::name)].fetch_add(1, std::memory_order_relaxed))
#else
inline constexpr bool counted = false;
#define RANKVIEW_MARK(name) static_cast<void>(0)
#endif

}  // namespace rankview::marks
