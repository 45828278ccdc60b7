// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cli/farm.hpp"

#include "cli/mpirun.hpp"
#include "farm/farm.hpp"
#include "farm/minder.hpp"
#include "farm/progress.hpp"

#include <rankview/errors.hpp>

#include <sys/resource.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>

namespace rankview::cli {
namespace {

// More commands at a time are of no use to a host.
constexpr std::size_t most_slots = 4096;
// What the farm itself may have open, and what each slot takes.
constexpr rlim_t own_descriptors = 40;
constexpr rlim_t slot_descriptors = 5;

constexpr std::array<std::string_view, 4> separators{":::", "::::", ":::+", "::::+"};

constexpr std::array<std::string_view, 60> unoffered{
    "--bar",          "--basefile",  "--bf",           "--bg",          "--bin",      "--block",    "--block-size",  "--cat",
    "--citation",     "--color",     "--color-failed", "--compress",    "--csv",      "--embed",    "--env",         "--eof",
    "--eta",          "--fifo",      "--files",        "--filter",      "--group-by", "--header",   "--interactive", "--jobqueue",
    "--latest-line",  "--lb",        "--limit",        "--line-buffer", "--link",     "--load",     "--max-args",    "--max-chars",
    "--max-load",     "--max-lines", "--memfree",      "--memsuspend",  "--nice",     "--noswap",   "--onall",       "--nonall",
    "--pipe",         "--pipepart",  "--pipe-part",    "--plus",        "--profile",  "--progress", "--quote",       "--replace",
    "--retry-failed", "--return",    "--rpl",          "--semaphore",   "--shard",    "--shuf",     "--sshlogin",    "--tee",
    "--term-seq",     "--transfer",  "--trim",         "--xargs"};

bool is_separator(const std::string& word) { return std::find(separators.begin(), separators.end(), word) != separators.end(); }

std::string this_host() {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  return host.data();
}

// As no other farm is called.
std::string name_of_farm(const std::string& host) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return host + "-" + std::to_string(::getpid()) + "-" + std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

template <class Number>
bool read_whole(std::string_view text, Number& number, int base = 10) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return error == std::errc() && end == text.data() + text.size();
}

bool read_number(std::string_view text, double& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

std::size_t slots_possible() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const rlim_t left = limit.rlim_cur > own_descriptors ? limit.rlim_cur - own_descriptors : 0;
  return std::clamp<std::size_t>(left / slot_descriptors, 1, most_slots);
}

int attempts_of(const std::string& retries) {
  int attempts = 1;
  if (retries.empty()) return attempts;
  if (!read_whole(retries, attempts) || attempts < 1)
    throw UsageError("--retries should be how often a command is tried, 1 or more, and is " + retries);
  return attempts;
}

farm::Needs needs_of(const FarmWish& wish) {
  std::string said = "#rv";
  for (const auto& [name, value] : {std::pair("cores", &wish.cores), std::pair("memory", &wish.memory), std::pair("gpus", &wish.gpus)}) {
    if (!value->empty()) said += std::string(" ") + name + "=" + *value;
  }
  if (said.find('=') == std::string::npos) return {};
  const farm::Needs needs = farm::take_needs(said, {});
  if (!said.empty()) throw UsageError("--cores and --gpus should be numbers, and --memory as in 2G: " + said);
  return needs;
}

double growth_of(const FarmWish& wish) {
  if (wish.memory_growth.empty()) return 1;
  double growth = 0;
  if (!read_number(wish.memory_growth, growth) || !(growth >= 1) || growth > 1000)
    throw UsageError("--memory-growth should be how many times as much memory a command may have when it is tried again, as in 2, and is " +
                     wish.memory_growth);
  if (wish.retries.empty()) throw UsageError("--memory-growth is for commands that are tried again: say how often by --retries");
  return growth;
}

farm::Input input_of(const FarmWish& wish) {
  const char delimiter = wish.null ? '\0' : wish.delimiter.empty() ? '\n' : delimiter_of(wish.delimiter);
  farm::Input input;
  for (const std::string& file : wish.files) input.add(std::make_unique<farm::FileRecords>(file, delimiter));
  for (const ArgumentSource& source : wish.sources) {
    if (!source.files) {
      input.add(std::make_unique<farm::WordRecords>(source.words), source.linked);
      continue;
    }
    for (const std::string& file : source.words) input.add(std::make_unique<farm::FileRecords>(file, delimiter), source.linked);
  }
  if (wish.files.empty() && wish.sources.empty()) input.add(std::make_unique<farm::FileRecords>("-", delimiter));
  if (!wish.colsep.empty()) input.split_by(farm::Columns(wish.colsep));
  return input;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

farm::Choice choice_of(const FarmWish& wish) {
  if (wish.resume + wish.resume_failed + wish.failed > 1)
    throw UsageError("of --resume, --resume-failed and --failed one says what is run");
  if ((wish.resume || wish.resume_failed || wish.failed || wish.explain) && wish.checkpoint.empty() && wish.joblog.empty())
    throw UsageError(
        "--resume, --resume-failed, --failed and --explain need to know what was done: give --checkpoint DIR, or --joblog FILE");
  if (wish.resume) return farm::Choice::not_done;
  if (wish.resume_failed) return farm::Choice::not_good;
  return wish.failed ? farm::Choice::only_failed : farm::Choice::all;
}

// A command that is given, or lines that are commands.
farm::JobTerms job_terms_of(const FarmWish& wish) {
  farm::JobTerms terms;
  if (!wish.command.empty()) terms.command = farm::Template(joined(wish.command), farm::Template::Ending::arguments);
  if (wish.tag) terms.tag.emplace("{}", farm::Template::Ending::as_is);
  if (!wish.tagstring.empty()) terms.tag.emplace(wish.tagstring, farm::Template::Ending::as_is);
  terms.needs = needs_of(wish);
  terms.results = wish.results;
  terms.skip_empty = wish.no_run_if_empty;
  terms.choice = choice_of(wish);
  return terms;
}

// Says what would be run.
int print_commands(farm::JobMaker& maker, farm::TextSink& out) {
  farm::Job job;
  for (;;) {
    const farm::Next next = maker.next(job);
    if (next == farm::Next::none) return 0;
    if (next == farm::Next::there) out.write(farm::with_slot(job.command, 1) + "\n");
    if (next == farm::Next::later) farm::wait_for_input(maker.descriptor());
  }
}

}  // namespace

void split_farm_words(std::vector<std::string>& words, FarmWish& wish) {
  const auto end = std::find_if(words.begin(), words.end(), [](const std::string& word) { return word == "--" || is_separator(word); });
  auto at = end;
  if (at != words.end() && *at == "--") ++at;
  for (; at != words.end(); ++at) {
    if (is_separator(*at)) {
      wish.sources.push_back({at->substr(0, 4) == "::::", at->back() == '+', {}});
    } else {
      (wish.sources.empty() ? wish.command : wish.sources.back().words).push_back(*at);
    }
  }
  words.erase(end, words.end());
}

void refuse_unoffered(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    const std::string name = word.substr(0, word.find('='));
    if (std::find(unoffered.begin(), unoffered.end(), name) != unoffered.end())
      throw UsageError(name + " is an option of GNU parallel that rankview farm does not offer yet");
  }
}

std::size_t slots_of(const std::string& jobs, unsigned cores) {
  if (jobs.empty()) return cores;
  const bool percent = jobs.back() == '%';
  const bool relative = jobs.front() == '+' || jobs.front() == '-';
  std::string_view digits = jobs;
  if (relative) digits.remove_prefix(1);
  if (percent) digits.remove_suffix(1);
  long long number = 0;
  if (!read_whole(digits, number) || number < 0 || number > 1'000'000'000)
    throw UsageError("--jobs should be a number, +N or -N for more or fewer than there are cores, or N% of them, and is " + jobs);
  if (percent) number = number * static_cast<long long>(cores) / 100;
  if (jobs.front() == '-') number = -number;
  if (relative) {
    number = std::max(1LL, static_cast<long long>(cores) + number);
  } else if (number == 0 && !percent) {
    return slots_possible();
  }
  return std::clamp<std::size_t>(static_cast<std::size_t>(std::max(1LL, number)), 1, most_slots);
}

char delimiter_of(const std::string& text) {
  if (text.size() == 1) return text[0];
  constexpr std::string_view letters = "abfnrtv0\\";
  constexpr std::string_view meanings("\a\b\f\n\r\t\v\0\\", 9);
  if (text.size() == 2 && text[0] == '\\' && letters.find(text[1]) != std::string_view::npos) return meanings[letters.find(text[1])];
  unsigned char byte = 0;
  if (text.size() > 2 && text.substr(0, 2) == "\\x" && read_whole(std::string_view(text).substr(2), byte, 16))
    return static_cast<char>(byte);
  if (text.size() > 1 && text[0] == '\\' && read_whole(std::string_view(text).substr(1), byte, 8)) return static_cast<char>(byte);
  throw UsageError("--delimiter should be one character, or one as \\n, \\0 or \\x2c, and is " + text);
}

bool is_part_of_mpi_program() {
  const char* const size = std::getenv("OMPI_COMM_WORLD_SIZE");
  if (size != nullptr) return std::string_view(size) != "1";
  return std::getenv("PMIX_RANK") != nullptr || std::getenv("PMI_RANK") != nullptr;
}

int hosts_of_allocation() {
  int hosts = 1;
  if (const char* const nodes = std::getenv("SLURM_JOB_NUM_NODES"); nodes != nullptr && read_whole(nodes, hosts)) return std::max(1, hosts);
  std::set<std::string> names;
  for (const char* const variable : {"PBS_NODEFILE", "PE_HOSTFILE"}) {
    const char* const path = std::getenv(variable);
    std::ifstream file(path == nullptr ? "" : path);
    for (std::string line; std::getline(file, line);) names.insert(line.substr(0, line.find(' ')));
  }
  if (const char* const list = std::getenv("LSB_HOSTS")) {
    std::istringstream words(list);
    for (std::string name; words >> name;) names.insert(name);
  }
  return std::max(1, static_cast<int>(names.size()));
}

int run_farm(const FarmWish& wish) {
  if (!wish.dry_run) farm::go_on_minded();
  farm::Allotment allotment = farm::Allotment::take();
  farm::SignalInterrupts interrupts;
  return run_farm(wish, interrupts, allotment, [](farm::SlotTerms terms, std::size_t /*each*/, const auto& /*complain*/) {
    return std::make_unique<farm::SlotPool>(std::move(terms));
  });
}

int run_farm(const FarmWish& wish, farm::Interrupts& interrupts, farm::Allotment& allotment, const MakeWorkers& make_workers) {
  // What is wrong with the wish is said before anything is touched.
  farm::JobTerms job_terms = job_terms_of(wish);
  farm::FarmTerms terms;
  terms.attempts = attempts_of(wish.retries);
  terms.memory_growth = growth_of(wish);
  terms.halt = farm::Halt(wish.halt.empty() ? "never" : wish.halt);
  if (!wish.timeout.empty()) terms.time_limit = farm::TimeLimit(wish.timeout);
  if (!wish.delay.empty()) terms.delay = farm::duration_of(wish.delay, "--delay");
  const Surroundings here = look_around();
  farm::SlotTerms slots;
  slots.slots = slots_of(wish.jobs, here.cores);
  slots.shell = wish.shell;
  slots.temporary_directory = wish.tmpdir.empty() ? farm::temporary_directory() : wish.tmpdir;
  slots.captured = !wish.ungroup;
  // Who wants to hear of the first failure does not want to wait.
  slots.suspects_hosts = !terms.halt.possible();
  slots.host = this_host();
  if (!wish.shell.empty() && farm::Interpreter(wish.shell).by_shell("").program.find(wish.shell) == std::string::npos)
    throw UsageError("--shell: there is no program " + wish.shell);

  std::signal(SIGPIPE, SIG_IGN);
  farm::DescriptorSink out(STDOUT_FILENO);
  farm::DescriptorSink err(STDERR_FILENO);
  std::optional<farm::ProgressLine> line;
  if (::isatty(STDERR_FILENO) != 0 && !wish.ungroup) line.emplace(err);
  farm::BesideProgress shown_out(out, line ? &*line : nullptr);
  farm::BesideProgress shown_err(err, line ? &*line : nullptr);
  const auto complain = [&shown_err](const std::string& text) { shown_err.write("rankview farm: " + text + "\n"); };

  if (const std::size_t possible = slots_possible(); slots.slots > possible) {
    complain("there are descriptors for " + std::to_string(possible) + " commands at a time (ulimit -n)");
    slots.slots = possible;
  }
  if (wish.files.empty() && wish.sources.empty() && ::isatty(STDIN_FILENO) != 0) complain("the list is read from the terminal");

  std::unique_ptr<farm::Past> past;
  const bool resumes = job_terms.choice != farm::Choice::all;
  const bool added_to_log = !wish.joblog.empty() && wish.joblog.front() == '+';
  if (!wish.checkpoint.empty()) {
    past = std::make_unique<farm::KeptPast>(checkpoint::posix_disk(), wish.checkpoint, slots.host,
                                            [](const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); });
  } else if (resumes || wish.explain) {
    past = std::make_unique<farm::LoggedPast>(wish.joblog.substr(added_to_log ? 1 : 0));
  }
  if (wish.explain) {
    job_terms.explain = [&shown_err](const farm::Job& job, const std::string& why) {
      shown_err.write("command " + std::to_string(job.number) + " runs: " + why + ": " + job.command.text + "\n");
    };
  }
  farm::JobMaker maker(std::move(job_terms), input_of(wish), past.get());
  if (wish.dry_run) return print_commands(maker, shown_out);

  std::unique_ptr<farm::JobLog> log;
  if (!wish.joblog.empty()) {
    log = std::make_unique<farm::JobLog>(wish.joblog.substr(added_to_log ? 1 : 0),
                                         added_to_log || resumes ? farm::JobLog::Opening::append : farm::JobLog::Opening::replace);
  }
  farm::Printer printer(wish.keep_order ? farm::Printer::Order::as_they_stand : farm::Printer::Order::as_they_end, shown_out, shown_err,
                        slots.temporary_directory, wish.results.empty());
  std::optional<farm::OutputKeeper> outputs;
  if (!wish.checkpoint.empty() && wish.results.empty() && !wish.ungroup) outputs.emplace(wish.checkpoint, name_of_farm(slots.host));
  const std::size_t each = wish.jobs.empty() ? 0 : slots.slots;
  const std::unique_ptr<farm::Workers> workers = make_workers(std::move(slots), each, complain);
  farm::FarmRooms rooms{maker, *workers, printer, interrupts, log.get(), past.get(), outputs ? &*outputs : nullptr, complain, {}};
  if (line) rooms.watch = [&line](const farm::FarmCounts& counts) { line->show(counts, std::chrono::steady_clock::now()); };
  farm::Farm farm(std::move(terms), std::move(rooms));
  allotment.arm();
  const int code = farm.run();
  allotment.tally(farm.counts().succeeded + farm.counts().failed);
  if (line) line->clear();
  if (wish.explain) shown_err.write(std::to_string(maker.skipped()) + " are left out\n");
  const std::string trouble = past == nullptr ? "" : past->finish();
  if (trouble.empty()) return code;
  complain(trouble);
  return farm::Farm::gone_wrong;
}

}  // namespace rankview::cli
