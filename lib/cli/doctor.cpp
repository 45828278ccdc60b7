// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cli/doctor.hpp"

#include "cli/checkpoint.hpp"
#include "cli/farm.hpp"
#include "cli/launch.hpp"
#include "cli/mpirun.hpp"
#include "doctor/checks.hpp"
#include "doctor/ranks.hpp"

#include <rankview/rankview.hpp>

#include <unistd.h>
#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <string>

namespace rankview::cli {
namespace {

using doctor::Level;

struct Shown {
  const char* word;
  const char* colour;
};

Shown shown(Level level) {
  switch (level) {
    case Level::fine:
      return {"fine", "\033[32m"};
    case Level::note:
      return {"note", "\033[36m"};
    case Level::warning:
      return {"warning", "\033[33m"};
    case Level::problem:
      return {"PROBLEM", "\033[31m"};
  }
  return {"", ""};
}

// See no-color.org.
bool wants_colours() {
  const char* const none = std::getenv("NO_COLOR");
  return ::isatty(STDOUT_FILENO) != 0 && (none == nullptr || *none == '\0');
}

}  // namespace

void print_findings(std::ostream& out, const doctor::Findings& findings, bool colours) {
  for (const doctor::Finding& finding : findings) {
    const auto [word, colour] = shown(finding.level);
    std::string padded = word;
    padded.resize(8, ' ');
    out << (colours ? colour : "") << padded << (colours ? "\033[0m" : "") << finding.topic << ": " << finding.what << '\n';
    if (!finding.advice.empty()) out << "        -> " << finding.advice << '\n';
  }
}

void print_findings_json(std::ostream& out, const doctor::Findings& findings) {
  out << "[";
  const char* between = "\n";
  for (const doctor::Finding& finding : findings) {
    out << between << R"({"level": )" << json_text(shown(finding.level).word) << R"(, "topic": )" << json_text(finding.topic)
        << R"(, "what": )" << json_text(finding.what) << R"(, "advice": )" << json_text(finding.advice) << "}";
    between = ",\n";
  }
  out << "\n]\n";
}

int run_doctor(const DoctorWish& wish, int argc, char** argv) {
  const bool among_ranks = is_part_of_mpi_program();
  if (wish.engines != 0 && !among_ranks) {
    Wanted wanted;
    wanted.engines = wish.engines;
    // What the ranks write to is no terminal, or mpirun's.
    ::setenv("NO_COLOR", wants_colours() ? "" : "1", 1);
    wanted.mpirun = {"-x", "NO_COLOR"};
    wanted.program = {std::filesystem::read_symlink("/proc/self/exe").string()};
    wanted.program.insert(wanted.program.end(), argv + 1, argv + argc);
    const ExitFile exit_file;
    return run_to_its_end(mpirun_command(wanted, look_around(), exit_file.path().string()), exit_file);
  }
  const auto tell = [&wish](const doctor::Findings& findings) {
    if (wish.json) {
      print_findings_json(std::cout, findings);
    } else {
      print_findings(std::cout, findings, wants_colours());
    }
    std::cout.flush();
    return std::any_of(findings.begin(), findings.end(), [](const doctor::Finding& finding) { return finding.level == Level::problem; })
               ? 1
               : 0;
  };
  if (!among_ranks) return tell(doctor::examine(doctor::this_host()));
  // Rank 0 looks at its host before MPI is there: what it forks then disturbs nobody.
  const doctor::Findings of_host = doctor::examine(doctor::this_host());
  return run(argc, argv, [&](Client& client) {
    doctor::Findings findings = of_host;
    doctor::Findings of_ranks = doctor::examine_ranks(client, wish.pairs);
    std::move(of_ranks.begin(), of_ranks.end(), std::back_inserter(findings));
    return tell(findings);
  });
}

}  // namespace rankview::cli
