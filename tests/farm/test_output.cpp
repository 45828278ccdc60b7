// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "catch.hpp"
#include "farm/captured.hpp"
#include "farm/job_log.hpp"
#include "farm/kept_output.hpp"
#include "farm/past.hpp"
#include "farm/printer.hpp"
#include "farm/progress.hpp"
#include "farm/results_tree.hpp"

#include <rankview/errors.hpp>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

using namespace rankview::farm;

namespace {

class Text final : public TextSink {
 public:
  void write(std::string_view text) override { all += text; }
  std::string all;
};

End ended(std::uint64_t place, const std::string& out, const std::string& err = "") {
  End end;
  end.job.number = place + 1;
  end.job.place = place;
  end.out = Captured(out);
  end.err = Captured(err);
  return end;
}

// A directory for the time of a test.
class Directory {
 public:
  Directory() {
    std::string name = (std::filesystem::temp_directory_path() / "rankview-farm-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory() { std::filesystem::remove_all(path); }

  std::string path;
};

std::string content(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

Job job_of(const std::string& command, std::uint64_t number = 1) {
  Job job;
  job.number = number;
  job.command.text = command;
  return job;
}

End ended(Job job, int status) {
  End end;
  end.command = job.command.text;
  end.job = std::move(job);
  end.status = status;
  return end;
}

}  // namespace

TEST_CASE("a line of a job log is GNU parallel's", "[output]") {
  End end = ended(3, "four");
  end.command = "echo a\necho b";
  end.started = 1'796'082'081'720'400'000;
  end.took = std::chrono::milliseconds(1072);
  CHECK(JobLog::line(end) == std::string("4\t:\t1796082081.720\t     1.072\t0\t4\t0\t0\techo a") + '\0' + "echo b\n");
  end.command = "x";
  end.status = 3;
  end.host = "node7";
  CHECK(JobLog::line(end) == "4\tnode7\t1796082081.720\t     1.072\t0\t4\t3\t0\tx\n");
  end.status = 0;
  end.signal = SIGKILL;
  CHECK(JobLog::line(end) == "4\tnode7\t1796082081.720\t     1.072\t0\t4\t0\t9\tx\n");
  end.cause = Cause::timeout;
  CHECK(JobLog::line(end) == "4\tnode7\t1796082081.720\t     1.072\t0\t4\t-1\t15\tx\n");
}

TEST_CASE("a job log is written and read", "[output]") {
  const Directory directory;
  const std::string path = directory.path + "/log";
  {
    JobLog log(path, JobLog::Opening::append);
    log.add(ended(job_of("a", 1), 0));
    log.add(ended(job_of("b", 3), 1));
    log.flush();
  }
  {
    JobLog log(path, JobLog::Opening::append);
    log.add(ended(job_of("b", 3), 0));
    log.add(ended(job_of("c", 4), 7));
    log.flush();
  }
  // One that was being written.
  std::ofstream(path, std::ios::app) << "5\t:\t1.0\t";
  CHECK(content(path).substr(0, JobLog::heading.size()) == JobLog::heading);
  LoggedPast past(path);
  const auto was = [&past](std::uint64_t number) {
    Job job = job_of("", number);
    return past.find(job);
  };
  CHECK(was(1) == Was::succeeded);
  CHECK(was(2) == Was::unknown);
  CHECK(was(3) == Was::succeeded);
  CHECK(was(4) == Was::failed);
  CHECK(was(5) == Was::unknown);
  CHECK(was(5'000'000'000) == Was::unknown);
  { const JobLog log(path, JobLog::Opening::replace); }
  CHECK(content(path) == JobLog::heading);
}

TEST_CASE("what is no job log is not taken for one", "[output]") {
  const Directory directory;
  const std::string path = directory.path + "/log";
  CHECK_NOTHROW(LoggedPast(path));
  std::ofstream(path) << "something else\n";
  CHECK_THROWS_AS(LoggedPast(path), rankview::UsageError);
  std::ofstream(path) << JobLog::heading << "4611686018427387904\t:\t1.0\t1.0\t0\t0\t0\t0\tx\n";
  CHECK_THROWS_AS(LoggedPast(path), rankview::UsageError);
  CHECK_THROWS_AS(JobLog("/nowhere/at/all", JobLog::Opening::append), std::system_error);
}

TEST_CASE("which commands are run", "[output]") {
  const auto chosen = [](Choice choice) {
    return std::vector<bool>{is_chosen(choice, Was::unknown), is_chosen(choice, Was::succeeded), is_chosen(choice, Was::failed)};
  };
  CHECK(chosen(Choice::all) == std::vector<bool>{true, true, true});
  CHECK(chosen(Choice::not_done) == std::vector<bool>{true, false, false});
  CHECK(chosen(Choice::not_good) == std::vector<bool>{true, false, true});
  CHECK(chosen(Choice::only_failed) == std::vector<bool>{false, false, true});
}

TEST_CASE("texts are counted", "[output]") {
  Occurrences occurrences;
  for (std::uint32_t round = 0; round < 3; ++round) {
    for (int i = 0; i < 5000; ++i) REQUIRE(occurrences.count("command " + std::to_string(i)) == round);
  }
}

TEST_CASE("what is kept is found by its text and its place among equal ones", "[output]") {
  const Directory directory;
  rankview::checkpoint::Disk& disk = rankview::checkpoint::posix_disk();
  const auto ignore = [](const std::string&) {};
  {
    KeptPast past(disk, directory.path + "/kept", "here", ignore);
    for (const auto& [command, status] : std::vector<std::pair<std::string, int>>{{"a", 0}, {"b", 1}, {"a", 2}, {"c", 0}}) {
      Job job = job_of(command);
      CHECK(past.find(job) == Was::unknown);
      past.add(ended(job, status));
    }
    CHECK(past.finish().empty());
  }
  KeptPast past(disk, directory.path + "/kept", "here", ignore);
  std::vector<Was> found;
  for (const char* const command : {"c", "new", "a", "b", "a", "a"}) {
    Job job = job_of(command);
    found.push_back(past.find(job));
  }
  CHECK(found == std::vector<Was>{Was::succeeded, Was::unknown, Was::succeeded, Was::failed, Was::failed, Was::unknown});
}

TEST_CASE("output is printed in the order in which commands end, or stand", "[output]") {
  Text out;
  Text err;
  SECTION("as they end") {
    Printer printer(Printer::Order::as_they_end, out, err, "/tmp");
    printer.add(ended(2, "c\n", "C"));
    printer.add(ended(0, "a\n"));
    CHECK(out.all == "c\na\n");
    CHECK(err.all == "C");
  }
  SECTION("as they stand") {
    Printer printer(Printer::Order::as_they_stand, out, err, "/tmp");
    printer.add(ended(2, "c\n", "C"));
    printer.add(ended(1, ""));
    printer.add(ended(4, std::string(200'000, 'e'), "E"));
    CHECK(out.all.empty());
    printer.add(ended(0, "a\n", "A"));
    CHECK(out.all == "a\nc\n");
    CHECK(err.all == "AC");
    // Nobody has 3.
    printer.flush();
    CHECK(out.all == "a\nc\n" + std::string(200'000, 'e'));
    CHECK(err.all == "ACE");
  }
  SECTION("not at all") {
    Printer printer(Printer::Order::as_they_end, out, err, "/tmp", false);
    printer.add(ended(0, "a\n"));
    CHECK(out.all.empty());
  }
}

TEST_CASE("a tag goes before each line, and no newline is made up", "[output]") {
  Text out;
  Text err;
  for (const auto order : {Printer::Order::as_they_end, Printer::Order::as_they_stand}) {
    out.all.clear();
    Printer printer(order, out, err, "/tmp");
    End second = ended(1, "z\n");
    second.job.tag = "u";
    End first = ended(0, "x\n\ny");
    first.job.tag = "t u";
    if (order == Printer::Order::as_they_end) {
      printer.add(first);
      printer.add(second);
    } else {
      printer.add(second);
      printer.add(first);
    }
    CHECK(out.all == "t u\tx\nt u\t\nt u\tyu\tz\n");
  }
}

TEST_CASE("what a command writes is kept, whatever it is", "[output]") {
  const std::string text = std::string("a\0b\xff", 4) + std::string(300'000, 'x');
  rankview::isolation::Fd file = temporary_file(temporary_directory());
  REQUIRE(::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  const Captured captured(std::move(file));
  CHECK(captured.size() == text.size());
  CHECK(captured.text() == text);
  CHECK(Captured(temporary_file("/tmp")).text().empty());
  CHECK_THROWS_AS(temporary_file("/nowhere/at/all"), std::system_error);
}

TEST_CASE("results lie where GNU parallel has them", "[output]") {
  CHECK(results_directory("R", {"a", "x y"}) == "R/1/a/2/x y");
  CHECK(results_directory("R", {"b/c\\d\te"}) == "R/1/b\\_c\\\\d\\te");
  const Directory directory;
  const std::string path = results_directory(directory.path, {"a"});
  const OpenResults files = open_results(path, 12);
  CHECK(content(path + "/seq") == "12");
  CHECK(std::filesystem::exists(path + "/stdout"));
  CHECK(std::filesystem::exists(path + "/stderr"));
  CHECK_THROWS_AS(open_results(path + "/stdout/x", 1), std::system_error);
}

TEST_CASE("what commands have written is kept in one file, and read from it", "[output]") {
  const Directory directory;
  const std::string long_one(300'000, 'x');
  {
    OutputKeeper keeper(directory.path, "farm");
    End first = ended(0, std::string("a\0\nb", 4), "wrong");
    first.command = "echo 'two\nlines'";
    first.host = "node1";
    first.status = 3;
    first.job.attempt = 2;
    keeper.add(first);
    keeper.add(ended(1, ""));
    keeper.add(ended(2, long_one));
  }
  const std::string path = directory.path + "/farm.output";
  const std::string whole = content(path);
  const auto read = [](const std::string& from, std::size_t& good) {
    OutputFile file(from);
    KeptOutput output;
    std::vector<KeptOutput> all;
    while (file.next(output)) all.push_back(output);
    good = 0;
    Text out;
    Text err;
    for (const KeptOutput& each : all) good += file.copy(each, out, err) ? 1 : 0;
    return std::tuple(all, out.all, err.all, file.damaged());
  };
  std::size_t good = 0;
  const auto [all, out, err, damaged] = read(path, good);
  REQUIRE(all.size() == 3);
  CHECK(good == 3);
  CHECK_FALSE(damaged);
  CHECK(out == std::string("a\0\nb", 4) + long_one);
  CHECK(err == "wrong");
  CHECK(all[0].number == 1);
  CHECK(all[0].attempt == 2);
  CHECK(all[0].status == 3);
  CHECK(all[0].host == "node1");
  CHECK(all[0].command == "echo 'two\nlines'");
  CHECK(all[1].succeeded());

  // Cut anywhere, and with any byte changed, up to the long one: what is whole is read, and the rest is told.
  const std::size_t second_ends = whole.find("task 3 ");
  for (std::size_t at = 0; at < second_ends; ++at) {
    std::ofstream(path, std::ios::binary) << whole.substr(0, at);
    const auto cut = read(path, good);
    CHECK(std::get<0>(cut).size() <= 2);
    CHECK(good == std::get<0>(cut).size());
    std::string changed = whole.substr(0, second_ends);
    changed[at] = static_cast<char>(changed[at] ^ 1);
    std::ofstream(path, std::ios::binary) << changed;
    static_cast<void>(read(path, good));
  }
  std::string flipped = whole;
  flipped[flipped.size() - 1000] = 'y';
  std::ofstream(path, std::ios::binary) << flipped;
  CHECK(std::get<0>(read(path, good)).size() == 3);
  CHECK(good == 2);
}

TEST_CASE("a line says how far a farm is", "[output]") {
  CHECK(progress_text({12, 1, 0, 2}, std::chrono::seconds(4)) == "12 done, 1 failed, 2 in hand, 3.25/s");
  CHECK(progress_text({600, 0, 7, 2}, std::chrono::seconds(4)) == "600 done, 0 failed, 2 in hand, 150/s, 7 left out");
  Text terminal;
  ProgressLine line(terminal);
  const auto now = std::chrono::steady_clock::now();
  line.show({}, now);
  line.clear();
  CHECK(terminal.all.empty());
  line.show({}, now + std::chrono::seconds(2));
  line.show({}, now + std::chrono::milliseconds(2100));
  BesideProgress beside(terminal, &line);
  const std::size_t shown = terminal.all.size();
  beside.write("x\n");
  beside.write("y\n");
  CHECK(terminal.all.substr(shown) == "\r\033[Kx\ny\n");
}
