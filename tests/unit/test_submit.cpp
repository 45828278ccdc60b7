// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cli/submit.hpp"
#include "environment.hpp"
#include "submit/campaign.hpp"
#include "submit/queue.hpp"
#include "submit/script.hpp"
#include "support.hpp"

#include <rankview/errors.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

using namespace rankview::submit;
using rankview::Error;
using rankview::UsageError;
using rankview::cli::SubmitPlace;
using rankview::cli::SubmitWish;
using std::chrono::seconds;
using unit::Environment;

namespace {

namespace cli = rankview::cli;

// Commands that answer as they are told to.
class Answers final : public Commands {
 public:
  [[nodiscard]] bool has(const std::string& name) const override { return there.contains(name); }
  Outcome run(const std::vector<std::string>& words, const std::string& input, std::chrono::milliseconds) override {
    std::string line;
    for (const std::string& word : words) line += (line.empty() ? "" : " ") + word;
    asked.push_back(line);
    inputs.push_back(input);
    REQUIRE_FALSE(answers.empty());
    Outcome next = answers.front();
    answers.pop_front();
    return next;
  }
  void pause(std::chrono::milliseconds time) override { paused += time; }

  void say(const std::string& out) { answers.push_back({0, out, "", false}); }
  void fail(const std::string& err) { answers.push_back({1, "", err, false}); }

  std::set<std::string> there;
  std::deque<Outcome> answers;
  std::vector<std::string> asked;
  std::vector<std::string> inputs;
  std::chrono::milliseconds paused{0};
};

class Directory {
 public:
  Directory() {
    std::string name = (std::filesystem::temp_directory_path() / "rankview-submit-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// As if no batch system had started this process.
struct NoJob {
  Environment slurm{"SLURM_JOB_ID", nullptr};
  Environment pbs{"PBS_JOBID", nullptr};
  Environment lsf{"LSB_JOBID", nullptr};
  Environment sge{"JOB_ID", nullptr};
  Environment rehearsal{"RANKVIEW_REHEARSAL", nullptr};
  Environment tally{"RANKVIEW_TALLY", nullptr};
};

SubmitPlace place_at(const Directory& directory) {
  return {directory.path(), "/opt/bin/rankview", "rankview submit ...", [] { return std::int64_t{1000}; }};
}

Resources four_nodes() {
  Resources wanted;
  wanted.engines = 63;
  wanted.nodes = 4;
  wanted.cores = 2;
  wanted.memory = 8ULL << 30U;
  wanted.gpus = 1;
  wanted.time = seconds(5430);
  wanted.exclusive = true;
  wanted.name = "sweep";
  wanted.queue = "long";
  wanted.account = "physics";
  wanted.output = "out";
  return wanted;
}

std::vector<std::string> lines(BatchSystem system, const Resources& wanted) {
  std::vector<std::string> lines;
  for (const Directive& directive : directives(system, wanted)) {
    std::string line;
    for (const std::string& word : directive) line += (line.empty() ? "" : " ") + word;
    lines.push_back(line);
  }
  return lines;
}

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

SubmitWish wish_for(const std::string& system, bool until_done = false) {
  SubmitWish wish;
  wish.resources.engines = 3;
  wish.system = system;
  wish.until_done = until_done;
  wish.program = {"./app", "a b"};
  return wish;
}

}  // namespace

TEST_CASE("times that one can mean only one thing by", "[submit]") {
  CHECK(parse_time("2:00:00") == seconds(7200));
  CHECK(parse_time("100:00:01") == seconds(360'001));
  CHECK(parse_time("1-12:00:00") == seconds(129'600));
  CHECK(parse_time("90m") == seconds(5400));
  CHECK(parse_time("1h30m") == seconds(5400));
  CHECK(parse_time("2d") == seconds(172'800));
  CHECK(parse_time("45s") == seconds(45));
  for (const char* const text :
       {"", "30", "30:00", "1:60:00", "1:00:60", "1-2", "-1:00:00", "m", "30m1h", "1h1h", "5x", "1:2:3:4", "0s", "99999999999999h"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_time(text), UsageError);
  }
}

TEST_CASE("memory with its unit", "[submit]") {
  CHECK(parse_memory("4G") == 4ULL << 30U);
  CHECK(parse_memory("500m") == 500ULL << 20U);
  CHECK(parse_memory("1.5T") == 3ULL << 39U);
  CHECK(parse_memory("64KiB") == 65'536);
  CHECK(parse_memory("2GB") == 2ULL << 30U);
  for (const char* const text : {"", "4", "G", "-1G", "0G", "4GG", "4 G", "nanG", "1e30T", "4Gi"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_memory(text), UsageError);
  }
}

TEST_CASE("how large a job is", "[submit]") {
  Resources wanted;
  CHECK_THROWS_AS(shape_of(wanted), UsageError);
  wanted.engines = 64;
  CHECK(shape_of(wanted).ranks == 65);
  CHECK(shape_of(wanted).nodes == 0);
  wanted.per_node = 16;
  CHECK(shape_of(wanted).nodes == 5);
  wanted.nodes = 4;
  CHECK_THROWS_AS(shape_of(wanted), UsageError);
  wanted.engines = 63;
  CHECK(shape_of(wanted).ranks == 64);
  wanted.engines = 0;
  CHECK(shape_of(wanted).ranks == 64);
}

TEST_CASE("what batch systems are told", "[submit]") {
  CHECK(lines(BatchSystem::slurm, four_nodes()) ==
        std::vector<std::string>{"--job-name=sweep", "--ntasks=64", "--nodes=4", "--ntasks-per-node=16", "--cpus-per-task=2", "--mem=8192M",
                                 "--gpus-per-node=1", "--time=1:30:30", "--partition=long", "--account=physics", "--output=out",
                                 "--exclusive", "--no-kill"});
  CHECK(lines(BatchSystem::pbs, four_nodes()) == std::vector<std::string>{"-N sweep", "-l select=4:ncpus=32:mpiprocs=16:mem=8192mb:ngpus=1",
                                                                          "-l place=scatter:excl", "-l walltime=1:30:30", "-q long",
                                                                          "-A physics", "-j oe", "-o out"});
  CHECK(lines(BatchSystem::torque, four_nodes()) == std::vector<std::string>{"-N sweep", "-l nodes=4:ppn=32:gpus=1", "-l mem=32768mb", "-n",
                                                                             "-l walltime=1:30:30", "-q long", "-A physics", "-j oe",
                                                                             "-o out"});
  CHECK(lines(BatchSystem::sge, four_nodes()) == std::vector<std::string>{"-N sweep", "-pe mpi 128", "-l h_rt=1:30:30", "-l h_vmem=256M",
                                                                          "-l gpu=1", "-l exclusive=true", "-q long", "-P physics",
                                                                          "-S /bin/bash", "-j y", "-o out"});
  CHECK(lines(BatchSystem::lsf, four_nodes()) == std::vector<std::string>{"-J sweep", "-n 64", "-R span[ptile=16]", "-R affinity[core(2)]",
                                                                          "-R rusage[mem=8192MB]", "-gpu num=1", "-W 1:31", "-q long",
                                                                          "-P physics", "-o out", "-x"});
}

TEST_CASE("memory a core, in what each batch system counts by", "[submit]") {
  Resources wanted;
  wanted.engines = 7;
  wanted.per_node = 4;
  wanted.cores = 2;
  wanted.memory_per_core = 1ULL << 30U;
  const auto has = [&wanted](BatchSystem system, const std::string& line) {
    const auto all = lines(system, wanted);
    return std::find(all.begin(), all.end(), line) != all.end();
  };
  CHECK(has(BatchSystem::slurm, "--mem-per-cpu=1024M"));
  CHECK(has(BatchSystem::pbs, "-l select=2:ncpus=8:mpiprocs=4:mem=8192mb"));
  CHECK(has(BatchSystem::torque, "-l pmem=2048mb"));
  CHECK(has(BatchSystem::sge, "-l h_vmem=1024M"));
  CHECK(has(BatchSystem::lsf, "-R rusage[mem=8192MB]"));
  wanted.memory = 1;
  CHECK_THROWS_AS(directives(BatchSystem::slurm, wanted), UsageError);
}

TEST_CASE("what is said of whole nodes cannot be said without them", "[submit]") {
  Resources wanted;
  wanted.engines = 7;
  wanted.memory = 1ULL << 30U;
  for (const BatchSystem system : {BatchSystem::pbs, BatchSystem::torque, BatchSystem::sge}) {
    CAPTURE(to_string(system));
    CHECK_THROWS_AS(directives(system, wanted), UsageError);
  }
  CHECK_NOTHROW(directives(BatchSystem::slurm, wanted));
}

TEST_CASE("an interactive allocation is asked for nothing that only a script may have", "[submit]") {
  Resources wanted = four_nodes();
  wanted.output.clear();
  for (const auto& [name, system] : batch_systems) {
    CAPTURE(name);
    for (const std::string& line : lines(system, wanted))
      CHECK((line.rfind("-j", 0) != 0 && line.rfind("-o", 0) != 0 && line.rfind("-S", 0) != 0));
  }
  CHECK(interactive_command(BatchSystem::slurm, {{"--ntasks=2"}}, "/bin/zsh") == std::vector<std::string>{"salloc", "--ntasks=2"});
  CHECK(interactive_command(BatchSystem::lsf, {{"-n", "2"}}, "/bin/zsh") == std::vector<std::string>{"bsub", "-Is", "-n", "2", "/bin/zsh"});
  CHECK(interactive_command(BatchSystem::pbs, {}, "") == std::vector<std::string>{"qsub", "-I"});
  CHECK(interactive_command(BatchSystem::sge, {}, "").front() == "qrsh");
}

TEST_CASE("which batch system is here", "[submit]") {
  const auto found = [](const std::set<std::string>& there) {
    return find_batch_system([&there](const std::string& name) { return there.contains(name); });
  };
  CHECK(found({"sbatch", "qsub"}) == BatchSystem::slurm);
  CHECK(found({"bsub"}) == BatchSystem::lsf);
  CHECK(found({"qsub", "qconf"}) == BatchSystem::sge);
  CHECK(found({"qsub", "pbs_track"}) == BatchSystem::torque);
  CHECK(found({"qsub"}) == BatchSystem::pbs);
  CHECK_FALSE(found({"ssh"}).has_value());
}

TEST_CASE("a script from a template", "[submit]") {
  ScriptTerms terms;
  terms.system = BatchSystem::lsf;
  terms.directives = {{"-J", "a"}, {"-R", "span[ptile=2]"}, {"-M", "4"}};
  terms.added = {"-G group"};
  terms.skipped = {"-M"};
  terms.directory = "/my dir";
  terms.rankview = "/bin/rankview";
  terms.campaign = "/c";
  terms.command = {"./app", "it's", "$HOME"};
  const std::string text = script(terms, template_of_script());
  CHECK(text.find("#BSUB -J a\n#BSUB -R \"span[ptile=2]\"\n#BSUB -G group\n") != std::string::npos);
  CHECK(text.find("-M 4") == std::string::npos);
  CHECK(text.find("cd '/my dir' || exit 1\n") != std::string::npos);
  CHECK(text.find("\n./app 'it'\\''s' '$HOME'\ncode=$?\n") != std::string::npos);
  CHECK(text.find("RANKVIEW_WALLTIME") == std::string::npos);
  terms.walltime = seconds(100);
  CHECK(script(terms, template_of_script()).find("export RANKVIEW_WALLTIME=$((100 - SECONDS))\n") != std::string::npos);
  CHECK(script(terms, template_of_script()).find("export RANKVIEW_WALLTIME_MARGIN_S=${RANKVIEW_WALLTIME_MARGIN_S:-20}\n") !=
        std::string::npos);
  terms.walltime = seconds(7200);
  CHECK(script(terms, template_of_script()).find("MARGIN") == std::string::npos);
  CHECK(text.find("/bin/rankview note /c ended $code\nexit $code\n") != std::string::npos);
  CHECK(script(terms, "{command} ${HOME} {a,b} {directory}") == "./app 'it'\\''s' '$HOME' ${HOME} {a,b} '/my dir'");
  CHECK_THROWS_AS(script(terms, "#!/bin/sh\n"), UsageError);
}

TEST_CASE("a script that lies about who made it cannot break out of its comment", "[submit]") {
  ScriptTerms terms;
  terms.made_by = "rankview submit 'a\nrm -rf b'";
  terms.command = {"true"};
  CHECK(script(terms, template_of_script()).find("\nrm") == std::string::npos);
}

TEST_CASE("the id of a job in what batch systems print", "[submit]") {
  const auto id = [](BatchSystem system, const std::string& says) {
    Answers commands;
    commands.say(says);
    return Queue(system, commands).submit("text", "/s");
  };
  CHECK(id(BatchSystem::slurm, "4711\n") == "4711");
  CHECK(id(BatchSystem::slurm, "Welcome to the cluster\n4711;north\n") == "4711");
  CHECK(id(BatchSystem::pbs, "12.server.site\n") == "12.server.site");
  CHECK(id(BatchSystem::sge, "7\n") == "7");
  CHECK(id(BatchSystem::lsf, "Job <99> is submitted to queue <normal>.\n") == "99");
  CHECK_THROWS_AS(id(BatchSystem::slurm, "no idea\n"), Error);
}

TEST_CASE("how each takes a script", "[submit]") {
  Answers commands;
  for (const char* const says : {"1", "1", "1", "1", "Job <1> is submitted"}) commands.say(says);
  for (const auto& [name, system] : batch_systems) Queue(system, commands).submit("text", "/s");
  CHECK(commands.asked == std::vector<std::string>{"sbatch --parsable /s", "qsub /s", "qsub /s", "qsub -terse /s", "bsub"});
  CHECK(commands.inputs.back() == "text");
}

TEST_CASE("a batch system that does not answer now is asked again", "[submit]") {
  Answers commands;
  commands.fail("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation");
  commands.fail("sbatch: error: Unable to contact slurm controller (connect failure)");
  commands.say("8\n");
  CHECK(Queue(BatchSystem::slurm, commands).submit("", "/s") == "8");
  CHECK(commands.asked.size() == 3);
  CHECK(commands.paused == seconds(5));
}

TEST_CASE("what a batch system refuses is said as it says it, at once", "[submit]") {
  Answers commands;
  commands.fail("sbatch: error: Batch job submission failed: Invalid account\n");
  const auto message = unit::message_of<Error>([&] { Queue(BatchSystem::slurm, commands).submit("", "/s"); });
  CHECK(message == "sbatch --parsable /s: sbatch: error: Batch job submission failed: Invalid account");
  CHECK(commands.asked.size() == 1);
}

TEST_CASE("a command that hangs may have been heard, and is not repeated", "[submit]") {
  Answers commands;
  commands.answers.push_back({137, "", "", true});
  CHECK_THROWS_AS(Queue(BatchSystem::slurm, commands).submit("", "/s"), Error);
  CHECK(commands.asked.size() == 1);
}

TEST_CASE("what batch systems say of a job", "[submit]") {
  const auto state = [](BatchSystem system, const std::string& says) {
    Answers commands;
    commands.say(says);
    return Queue(system, commands).state("7");
  };
  CHECK(state(BatchSystem::slurm, "RUNNING\n") == QueueState::running);
  CHECK(state(BatchSystem::slurm, "PENDING\n") == QueueState::waiting);
  CHECK(state(BatchSystem::slurm, "") == QueueState::unknown);
  CHECK(state(BatchSystem::pbs, "Job Id: 7.s\n    job_state = R\n") == QueueState::running);
  CHECK(state(BatchSystem::torque, "    job_state = Q\n") == QueueState::waiting);
  CHECK(state(BatchSystem::pbs, "    job_state = F\n") == QueueState::unknown);
  CHECK(state(BatchSystem::lsf, "RUN\n") == QueueState::running);
  CHECK(state(BatchSystem::lsf, "PEND\n") == QueueState::waiting);
  CHECK(state(BatchSystem::sge, "job-ID prior name\n----\n      7 0.5 a me r 01/01/2026 10:00:00\n     70 0.5 a me qw\n") ==
        QueueState::running);
  CHECK(state(BatchSystem::sge, "     70 0.5 a me r 01/01\n      7 0.5 a me qw 01/01\n") == QueueState::waiting);
  CHECK(state(BatchSystem::sge, "     70 0.5 a me r 01/01\n") == QueueState::unknown);
}

TEST_CASE("a submission leaves its script, and what is known of it", "[submit]") {
  const NoJob none;
  const Directory directory;
  Answers commands;
  commands.say("41\n");
  commands.say("42\n");
  std::ostringstream out;
  SubmitWish wish = wish_for("slurm");
  wish.jobs = 2;
  REQUIRE(cli::submit_job(wish, place_at(directory), commands, out) == 0);
  const auto campaign = directory.path() / ".rankview" / "app";
  CHECK(commands.asked[0] == "sbatch --parsable " + (campaign / "job.sh").string());
  CHECK(read(campaign / "job.sh").find("\n/opt/bin/rankview run -n 3 -- ./app 'a b'\n") != std::string::npos);
  CHECK(out.str().find("submitted job 42 (slurm), campaign app\n") != std::string::npos);
  CHECK(Campaign::open(campaign).jobs().size() == 2);

  commands.say("43\n");
  REQUIRE(cli::submit_job(wish_for("slurm"), place_at(directory), commands, out) == 0);
  CHECK(std::filesystem::exists(directory.path() / ".rankview" / "app-2" / "job.sh"));
}

TEST_CASE("what cannot be asked for leaves nothing behind", "[submit]") {
  const Directory directory;
  Answers commands;
  std::ostringstream out;
  SubmitWish wish = wish_for("slurm");
  wish.resources.engines = 0;
  CHECK_THROWS_AS(cli::submit_job(wish, place_at(directory), commands, out), UsageError);
  wish = wish_for("fifo");
  CHECK_THROWS_AS(cli::submit_job(wish, place_at(directory), commands, out), UsageError);
  wish = wish_for("");
  CHECK_THROWS_AS(cli::submit_job(wish, place_at(directory), commands, out), UsageError);
  wish = wish_for("slurm");
  wish.resources.name = "../up";
  CHECK_THROWS_AS(cli::submit_job(wish, place_at(directory), commands, out), UsageError);
  CHECK(std::filesystem::is_empty(directory.path()));
}

TEST_CASE("a dry run submits nothing", "[submit]") {
  const Directory directory;
  Answers commands;
  std::ostringstream out;
  SubmitWish wish = wish_for("pbs");
  wish.dry_run = true;
  CHECK(cli::submit_job(wish, place_at(directory), commands, out) == 0);
  CHECK(out.str().find("#PBS -l select=4:ncpus=1:mpiprocs=1\n") != std::string::npos);
  CHECK(std::filesystem::is_empty(directory.path()));
  CHECK(commands.asked.empty());
}

TEST_CASE("a farm takes a rank a node, and starts itself", "[submit]") {
  const Directory directory;
  Answers commands;
  std::ostringstream out;
  SubmitWish wish;
  wish.system = "slurm";
  wish.dry_run = true;
  wish.resources.nodes = 4;
  wish.program = {"rankview", "farm", "tasks.txt"};
  CHECK(cli::submit_job(wish, place_at(directory), commands, out) == 0);
  CHECK(out.str().find("#SBATCH --job-name=farm\n#SBATCH --ntasks=4\n#SBATCH --nodes=4\n#SBATCH --ntasks-per-node=1\n") !=
        std::string::npos);
  CHECK(out.str().find("\n/opt/bin/rankview farm tasks.txt\n") != std::string::npos);
}

namespace {

// A job of that campaign runs and ends, with so many tasks.
void run_job(const Directory& directory, const std::string& id, int code, const char* tasks, Answers& commands, std::ostream& out) {
  const Environment job("SLURM_JOB_ID", id.c_str());
  const std::string tally = (directory.path() / "tally").string();
  const Environment where("RANKVIEW_TALLY", tally.c_str());
  if (*tasks != '\0') std::ofstream(tally) << tasks;
  const auto campaign = directory.path() / ".rankview" / "app";
  cli::note_job(campaign, "started", 0, place_at(directory), commands, out);
  cli::note_job(campaign, "ended", code, place_at(directory), commands, out);
  CHECK_FALSE(std::filesystem::exists(tally));
}

}  // namespace

TEST_CASE("what is left is submitted again until nothing is", "[submit]") {
  const NoJob none;
  const Directory directory;
  Answers commands;
  std::ostringstream out;
  commands.say("1\n");
  cli::submit_job(wish_for("slurm", true), place_at(directory), commands, out);
  commands.say("2\n");
  run_job(directory, "1", 75, "10\n5\n", commands, out);
  CHECK(commands.asked.size() == 2);
  run_job(directory, "2", 0, "7\n", commands, out);
  CHECK(commands.asked.size() == 2);
  const auto jobs = Campaign::open(directory.path() / ".rankview" / "app").jobs();
  REQUIRE(jobs.size() == 2);
  CHECK(jobs[0].ended->done == 15);
  CHECK(jobs[1].ended->code == 0);

  std::ostringstream list;
  cli::list_jobs("", false, place_at(directory), commands, list);
  CHECK(list.str().find("drained") != std::string::npos);
  CHECK(list.str().find("done") != std::string::npos);
}

TEST_CASE("a program that gets nothing done is not started for ever", "[submit]") {
  const NoJob none;
  const Directory directory;
  Answers commands;
  std::ostringstream out;
  for (const char* const id : {"1\n", "2\n", "3\n", "4\n"}) commands.say(id);
  cli::submit_job(wish_for("slurm", true), place_at(directory), commands, out);
  run_job(directory, "1", 75, "3\n", commands, out);
  run_job(directory, "2", 75, "0\n", commands, out);
  run_job(directory, "3", 75, "", commands, out);
  CHECK(commands.asked.size() == 4);
  run_job(directory, "4", 75, "0\n", commands, out);
  CHECK(commands.asked.size() == 4);
  CHECK(out.str().find("in 3 allocations in a row no task has ended") != std::string::npos);
}

TEST_CASE("without until_done, and behind a failure, nothing is submitted again", "[submit]") {
  const NoJob none;
  const Directory directory;
  Answers commands;
  std::ostringstream out;
  commands.say("1\n");
  SECTION("it was not asked for") {
    cli::submit_job(wish_for("slurm"), place_at(directory), commands, out);
    run_job(directory, "1", 75, "3\n", commands, out);
  }
  SECTION("it has failed") {
    cli::submit_job(wish_for("slurm", true), place_at(directory), commands, out);
    run_job(directory, "1", 1, "3\n", commands, out);
  }
  CHECK(commands.asked.size() == 1);
}

TEST_CASE("what is cancelled does not come back", "[submit]") {
  const NoJob none;
  const Directory directory;
  Answers commands;
  std::ostringstream out;
  commands.say("1\n");
  cli::submit_job(wish_for("slurm", true), place_at(directory), commands, out);
  commands.say("");
  CHECK(cli::cancel_jobs(GENERATE("app", "1"), place_at(directory), commands, out) == 0);
  CHECK(commands.asked.back() == "scancel 1");
  run_job(directory, "1", 75, "3\n", commands, out);
  CHECK(commands.asked.size() == 2);
  CHECK_THROWS_AS(cli::cancel_jobs("17", place_at(directory), commands, out), UsageError);
}

TEST_CASE("a job that the batch system has forgotten is known by its own record", "[submit]") {
  const NoJob none;
  const Directory directory;
  Answers commands;
  std::ostringstream out;
  commands.say("1\n");
  cli::submit_job(wish_for("slurm"), place_at(directory), commands, out);
  const auto listed = [&] {
    std::ostringstream list;
    cli::list_jobs("app", false, place_at(directory), commands, list);
    return list.str();
  };
  commands.say("PENDING\n");
  CHECK(listed().find("waiting") != std::string::npos);
  commands.answers.push_back({137, "", "", true});  // it hangs
  CHECK(listed().find("submitted, and nothing more is known") != std::string::npos);
  run_job(directory, "1", 3, "", commands, out);
  CHECK(listed().find("failed with exit code 3") != std::string::npos);
}

TEST_CASE("lines of a record that are torn are left out", "[submit]") {
  const Directory directory;
  const Campaign campaign = Campaign::create(directory.path(), "c", {"slurm", false});
  campaign.add({5, Event::Kind::submitted, "1", "", 0, {}});
  std::ofstream(campaign.directory() / "record", std::ios::app) << "6\tended\t1\n\tnonsense\n7\tended\t1\t\t75";
  campaign.add({8, Event::Kind::ended, "1", "", 0, 4});
  const auto events = campaign.events();
  REQUIRE(events.size() == 1);
  campaign.add({9, Event::Kind::ended, "1", "", 0, 4});
  CHECK(campaign.jobs().front().ended->done == 4);
  CHECK_THROWS_AS(Campaign::open(directory.path() / "none"), UsageError);
}

TEST_CASE("commands of the machine", "[submit]") {
  PosixCommands commands;
  CHECK(commands.has("sh"));
  CHECK_FALSE(commands.has("no-such-command-anywhere"));
  const Outcome well = commands.run({"sh", "-c", "cat; echo err >&2; exit 3"}, "input", seconds(60));
  CHECK(well.out == "input");
  CHECK(well.err == "err\n");
  CHECK(well.code == 3);
  CHECK(commands.run({"no-such-command-anywhere"}, "", seconds(60)).code == 127);
  const Outcome late = commands.run({"sleep", "1000"}, "", std::chrono::milliseconds(50));
  CHECK(late.too_late);
  CHECK_FALSE(late.well());
  // What stays in the background is not waited for.
  const Outcome behind = commands.run({"sh", "-c", "sleep 1000 & echo $!"}, "", seconds(60));
  CHECK_FALSE(behind.too_late);
  CHECK(::kill(std::stoi(behind.out), SIGKILL) == 0);
}
