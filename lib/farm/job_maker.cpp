// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "farm/job_maker.hpp"

#include "farm/results_tree.hpp"

#include <rankview/errors.hpp>

#include <algorithm>

namespace rankview::farm {
namespace {

bool is_blank(const std::string& text) { return text.find_first_not_of(" \t\n\r\f\v") == std::string::npos; }

}  // namespace

Next JobMaker::next(Job& job) {
  Arguments arguments;
  for (;;) {
    const Next next = input_.next(arguments);
    if (next != Next::there) return next;
    if (terms_.skip_empty && std::all_of(arguments.begin(), arguments.end(), is_blank)) continue;
    job = Job();
    job.number = ++number_;
    job.command = terms_.command.expand(arguments, job.number);
    take_its_needs(job);
    if (past_ != nullptr) {
      const Was was = past_->find(job);
      if (!is_chosen(terms_.choice, was)) {
        ++skipped_;
        continue;
      }
      if (terms_.explain) explain(job, was);
    }
    if (terms_.tag) job.tag = terms_.tag->expand_plain(arguments, job.number);
    if (!terms_.results.empty()) job.results = results_directory(terms_.results, arguments);
    job.place = place_++;
    return next;
  }
}

void JobMaker::take_its_needs(Job& job) const {
  try {
    job.needs = take_needs(job.command.text, terms_.needs);
  } catch (const UsageError& error) {
    job.trouble = error.what();
  }
  std::erase_if(job.command.slots, [&job](std::size_t at) { return at > job.command.text.size(); });
}

void JobMaker::explain(const Job& job, Was was) const {
  terms_.explain(job, was == Was::unknown  ? "it has not been run"
                      : was == Was::failed ? "it has failed"
                                           : "it is done, and nothing is left out");
}

}  // namespace rankview::farm
