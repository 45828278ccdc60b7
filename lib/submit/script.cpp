// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "submit/script.hpp"

#include "launch/quoted.hpp"

#include <rankview/errors.hpp>

#include <algorithm>
#include <string_view>
#include <utility>

namespace rankview::submit {
namespace {

bool skipped(const std::string& line, const std::vector<std::string>& words) {
  return std::any_of(words.begin(), words.end(), [&line](const std::string& word) { return line.find(word) != std::string::npos; });
}

std::string directive_lines(const ScriptTerms& terms) {
  const std::string mark = directive_mark(terms.system);
  std::string lines;
  for (const Directive& directive : terms.directives) {
    std::string line;
    for (const std::string& word : directive)
      line += (line.empty() ? "" : " ") + (word.find('[') == std::string::npos ? word : '"' + word + '"');
    if (!skipped(line, terms.skipped)) lines += mark + " " + line + "\n";
  }
  for (const std::string& line : terms.added) lines += mark + " " + line + "\n";
  if (!lines.empty()) lines.pop_back();
  return lines;
}

}  // namespace

const char* template_of_script() {
  return "#!/bin/bash\n"
         "{directives}\n"
         "# Made by: {made_by}\n"
         "cd {directory} || exit 1\n"
         "{environment}\n"
         "{note} started\n"
         "{command}\n"
         "code=$?\n"
         "{note} ended $code\n"
         "exit $code\n";
}

std::string script(const ScriptTerms& terms, const std::string& from) {
  if (from.find("{command}") == std::string::npos) throw UsageError("the template has no {command}, which is where the program is started");
  std::string made_by = terms.made_by;
  std::replace(made_by.begin(), made_by.end(), '\n', ' ');
  std::string environment = "export RANKVIEW_TALLY=" + launch::quoted(terms.campaign + "/tally") + ".$HOSTNAME.$$";
  // Of all of them only newer Slurms tell a job when it will end.
  if (terms.walltime.count() != 0)
    environment += "\nexport RANKVIEW_WALLTIME=$((" + std::to_string(terms.walltime.count()) + " - SECONDS))";
  // A minute is much of a short one.
  const auto margin = std::max<std::chrono::seconds::rep>(1, terms.walltime.count() / 5);
  if (terms.walltime.count() != 0 && margin < 60)
    environment += "\nexport RANKVIEW_WALLTIME_MARGIN_S=${RANKVIEW_WALLTIME_MARGIN_S:-" + std::to_string(margin) + "}";
  if (!terms.output.empty()) environment += "\nexec >" + launch::quoted(terms.output) + ".${PBS_JOBID%%.*} 2>&1";
  const std::pair<std::string_view, std::string> places[] = {
      {"{directives}", directive_lines(terms)},
      {"{made_by}", made_by},
      {"{directory}", launch::quoted(terms.directory)},
      {"{environment}", environment},
      {"{note}", launch::quoted(std::vector<std::string>{terms.rankview, "note", terms.campaign})},
      {"{command}", launch::quoted(terms.command)},
  };
  std::string text;
  for (std::size_t at = 0; at < from.size();) {
    const auto place =
        std::find_if(std::begin(places), std::end(places), [&](const auto& p) { return from.compare(at, p.first.size(), p.first) == 0; });
    if (place == std::end(places)) {
      text += from[at++];
    } else {
      text += place->second;
      at += place->first.size();
    }
  }
  return text;
}

}  // namespace rankview::submit
