// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "checkpoint/leases.hpp"
#include "checkpoint/survey.hpp"
#include "checkpoint/upkeep.hpp"
#include "cli/checkpoint.hpp"
#include "memory_disk.hpp"
#include "support.hpp"

#include <rankview/errors.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

namespace cp = rankview::checkpoint;
using namespace unit::checkpoint;
using rankview::UsageError;
using rankview::cli::CheckpointWish;
using rankview::cli::json_text;
using unit::contains;
using unit::message_of;

namespace {

constexpr std::int64_t second = 1'000'000'000;

const cp::Origin tool{cp::format_version, "there", 99, 5 * second, "rankview"};

// What a survey shows of each key that counts, by key, as "job@seconds: what".
std::map<std::string, std::string> surveyed(MemoryDisk& disk) {
  cp::Survey survey(disk, "d");
  std::map<std::string, std::string> all;
  survey.each([&all](const cp::Known& known) {
    if (!known.counts) return;
    const auto value = known.value();
    const std::string text(reinterpret_cast<const char*>(value.data()), value.size());
    REQUIRE(known.callable != nullptr);
    all[to_string(known.finished.key)] = known.origin.host + "@" + std::to_string(known.origin.began / second + known.finished.age) + ": " +
                                         known.callable->shown + known.callable->version + (known.finished.failed ? " failed " : " ") +
                                         text;
  });
  CHECK(all.size() == survey.size());
  return all;
}

// Two jobs, the second of which has done some of the first's again; what failed in the first, the second has got, but for one.
void fill_twice(MemoryDisk& disk) {
  Warnings warnings;
  for (const int job : {0, 1}) {
    std::int64_t now = (1000 + 1000 * job) * second;
    cp::Checkpoint::Settings set = settings(warnings);
    set.delay = std::chrono::hours(1);
    set.origin.host = job == 0 ? "first" : "second";
    set.origin.began = now;
    set.now = [&now] { return std::chrono::nanoseconds(now); };
    cp::Checkpoint checkpoint(disk, "d", set);
    const std::uint32_t callable = checkpoint.enlist(squares);
    const std::uint32_t other = checkpoint.enlist({"cube", "2", "long", "cube(int)"});
    const auto add = [&](std::uint64_t i) { checkpoint.add(i % 10 == 9 ? other : callable, key(i), bytes_of(value(i))); };
    now += 7 * second;
    for (std::uint64_t i = 0; i < 30; ++i) {
      add(i + 20 * static_cast<std::uint64_t>(job));
      // What comes then is as late as this.
      if (i == 0) CHECK(checkpoint.flush());
    }
    CHECK(checkpoint.flush());
    now += 100 * second;
    add(60 + static_cast<std::uint64_t>(job));
    CHECK(checkpoint.flush());
    if (job == 0) {
      checkpoint.add_failure(callable, key(70), "it did not converge\nthough it was tried");
      checkpoint.add_failure(callable, key(61), "nor this");
    }
  }
  CHECK(warnings.lines.empty());
  disk.crash(true);
}
constexpr std::size_t filled = 50 + 2 + 1;

void check_filled(MemoryDisk& disk, const std::string& without = "") {
  const auto all = surveyed(disk);
  CHECK(all.size() == filled - (without.empty() ? 0 : 1));
  Warnings warnings;
  cp::Checkpoint checkpoint(disk, "d", settings(warnings));
  for (std::uint64_t i = 0; i < 62; ++i) {
    const bool there = (i < 50 || i >= 60) && to_string(key(i)) != without;
    rankview::detail::Buffer into;
    CHECK(checkpoint.find(key(i), into) == (there ? cp::Found::result : cp::Found::nothing));
    if (there) CHECK(text_of(into) == value(i));
  }
  CHECK(warnings.lines.empty());
}

struct Said {
  int code = 0;
  std::string out;
  std::string complaints;
};
Said look(MemoryDisk& disk, CheckpointWish wish) {
  std::ostringstream out;
  std::ostringstream complaints;
  wish.directory = "d";
  const int code = look_after_checkpoint(wish, disk, out, complaints);
  return {code, out.str(), complaints.str()};
}

// Does it with each of its operations of the disk failing; with `dies` also all that come then, and what was not synced is gone.
// Gives how often it failed.
std::size_t with_each_failure(bool dies, bool with_names, const std::function<void(MemoryDisk&)>& act,
                              const std::function<void(MemoryDisk&, bool failed)>& check) {
  for (std::size_t faulty = 0;; ++faulty) {
    REQUIRE(faulty < 100);
    MemoryDisk disk;
    fill_twice(disk);
    bool failed = false;
    std::size_t operations = 0;
    disk.fault = [&](std::size_t, std::size_t bytes) {
      const std::size_t number = operations++;
      if (number < faulty || (number > faulty && !dies)) return bytes;
      failed = true;
      return bytes == 0 ? MemoryDisk::none : bytes / 2;
    };
    bool threw = false;
    try {
      act(disk);
    } catch (const std::system_error&) {
      threw = true;
    }
    CHECK(threw == failed);
    disk.fault = nullptr;
    if (dies) disk.crash(with_names);
    check(disk, failed);
    if (!failed) return faulty;
  }
}

}  // namespace

TEST_CASE("A survey shows each task once, with who did it and when", "[checkpoint_upkeep]") {
  MemoryDisk disk;
  fill_twice(disk);
  check_filled(disk);
  const auto all = surveyed(disk);
  CHECK(all.at(to_string(key(3))) == "first@1007: square(int) " + value(3));
  CHECK(all.at(to_string(key(9))) == "first@1007: cube(int)2 " + value(9));
  CHECK(all.at(to_string(key(60))) == "first@1107: square(int) " + value(60));
  CHECK(all.at(to_string(key(40))) == "second@2007: square(int) " + value(40));
  CHECK(all.at(to_string(key(61))) == "second@2107: square(int) " + value(61));
  CHECK(contains(all.at(to_string(key(70))), "first@1107: square(int) failed it did not converge"));
}

TEST_CASE("A list is for people, or JSON", "[checkpoint_upkeep]") {
  MemoryDisk disk;
  fill_twice(disk);
  const Said text = look(disk, {"", "list", "", false, false});
  CHECK(text.code == 0);
  CHECK(text.complaints.empty());
  CHECK(std::count(text.out.begin(), text.out.end(), '\n') == filled + 1);
  CHECK(contains(text.out, to_string(key(9)) + "  "));
  CHECK(contains(text.out, "cube(int), version 2\n"));
  CHECK(contains(text.out, "failed  square(int): it did not converge ...\n"));
  const Said failed = look(disk, {"", "list", "", false, true});
  CHECK(std::count(failed.out.begin(), failed.out.end(), '\n') == 1 + 1);
  const Said json = look(disk, {"", "list", "", true, true});
  CHECK(json.out.starts_with("[\n{\"key\": \"" + to_string(key(70)) + "\", \"status\": \"failed\", \"call\": \"square(int)\""));
  CHECK(contains(json.out, "\"when\": 1107, \"host\": \"first\""));
  CHECK(json.out.ends_with("\"error\": \"it did not converge\\nthough it was tried\"}\n]\n"));
}

TEST_CASE("JSON takes any text", "[checkpoint_upkeep]") {
  CHECK(json_text("a \"b\" \\ \n\t\x01") == "\"a \\\"b\\\" \\\\ \\n\\t\\u0001\"");
  CHECK(json_text("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80") == "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
  CHECK(json_text("\xc3|\xff|\xed\xa0\x80|\xc0\x80|\xe2\x82") == "\"\\ufffd|\\ufffd|\\ufffd\\ufffd\\ufffd|\\ufffd\\ufffd|\\ufffd\\ufffd\"");
}

TEST_CASE("Verifying says what is damaged and where", "[checkpoint_upkeep]") {
  MemoryDisk disk;
  fill_twice(disk);
  const CheckpointWish wish{"", "verify", "", false, false};
  CHECK(look(disk, wish).code == 0);
  CHECK(contains(look(disk, wish).out, "all is well: 53 tasks in 2 journals"));
  auto& bytes = disk.files.begin()->second->bytes;
  SECTION("a flipped bit") {
    bytes[bytes.size() / 2] ^= std::byte{4};
    const Said said = look(disk, wish);
    CHECK(said.code == 1);
    CHECK(contains(said.out, "it is damaged: "));
    CHECK(contains(said.out, "1 of 2 journals have lost something"));
    CHECK(contains(look(disk, {"", "list", "", false, false}).complaints, "is damaged"));
    CHECK(contains(look(disk, {"", "verify", "", true, false}).out, "\"trouble\": \"is damaged: "));
  }
  SECTION("a cut, as a job leaves it that is killed") {
    bytes.resize(bytes.size() - 20);
    const Said said = look(disk, wish);
    CHECK(said.code == 0);
    CHECK(contains(said.out, "of a record that was not written to its end"));
  }
  SECTION("a name that is lost") {
    const std::string_view name = "cube";
    const auto at = std::search(bytes.begin(), bytes.end(), bytes_of(name).begin(), bytes_of(name).end());
    REQUIRE(at != bytes.end());
    *at ^= std::byte{4};
    const Said said = look(disk, wish);
    CHECK(said.code == 1);
    CHECK(contains(said.out, "has 3 tasks of which nobody knows any more what was called"));
  }
  SECTION("a journal that cannot be read") {
    // Longer than what is read at once.
    fill(disk, 100, 100);
    for (const auto& [path, kept] : disk.files) {
      if (kept->bytes.size() > 1024 * 1024) disk.unreadable = path;
    }
    const Said said = look(disk, wish);
    CHECK(said.code == 1);
    CHECK(contains(said.out, "it cannot be used: "));
    CHECK(contains(said.out, "is used, 53 tasks"));
  }
  SECTION("what is no journal at all") {
    bytes.assign(1000, std::byte{'x'});
    CHECK(contains(look(disk, wish).out, ", the first at 0, say nothing"));
  }
}

TEST_CASE("Compacting makes one journal, in which all is as it was", "[checkpoint_upkeep]") {
  MemoryDisk disk;
  fill_twice(disk);
  const auto before = surveyed(disk);
  for (int time = 0; time < 3; ++time) {
    const cp::Rewritten done = cp::compact(disk, "d", tool);
    CHECK(done.journals == (time == 0 ? 2 : 1));
    CHECK(done.results == filled - 1);
    CHECK(done.failures == 1);
    CHECK(done.nameless == 0);
    CHECK(done.damaged == 0);
    CHECK(done.bytes == disk.files.begin()->second->bytes.size());
    CHECK((done.bytes < done.bytes_before) == (time == 0));
    CHECK(disk.files.size() == 1);
    CHECK(surveyed(disk) == before);
    check_filled(disk);
  }
  const Said said = look(disk, {"", "compact", "", false, false});
  CHECK(said.code == 0);
  CHECK(contains(said.out, "1 journals are one: 52 results, 1 failures"));
}

TEST_CASE("Compacting drops what says nothing, and leaves alone what a later version says", "[checkpoint_upkeep]") {
  MemoryDisk disk;
  fill_twice(disk);
  const std::size_t all = surveyed(disk).size();
  auto& bytes = disk.files.begin()->second->bytes;
  bytes[bytes.size() / 2] ^= std::byte{4};
  const std::size_t left = surveyed(disk).size();
  CHECK(left < all);
  rankview::detail::Buffer buffer;
  cp::Origin origin;
  origin.format = cp::format_version + 1;
  cp::write(buffer, origin);
  disk.files["d/later.journal"] = std::make_shared<MemoryDisk::Kept>();
  disk.files["d/later.journal"]->bytes.assign(buffer.data(), buffer.data() + buffer.size());
  const Said said = look(disk, {"", "compact", "", false, false});
  CHECK(said.code == 1);
  CHECK(contains(said.complaints, "left alone: later.journal: it is of format"));
  CHECK(contains(said.complaints, "damaged bytes"));
  CHECK(disk.files.size() == 2);
  CHECK(disk.files.contains("d/later.journal"));
  CHECK(surveyed(disk).size() == left);
}

TEST_CASE("Whatever fails while journals are compacted, nothing is lost", "[checkpoint_upkeep]") {
  const bool dies = GENERATE(false, true);
  const bool with_names = GENERATE(false, true);
  const auto act = [](MemoryDisk& disk) { cp::compact(disk, "d", tool); };
  const std::size_t failures = with_each_failure(dies, with_names, act, [&act](MemoryDisk& disk, bool) {
    check_filled(disk);
    act(disk);
    CHECK(disk.files.size() == 1);
    check_filled(disk);
  });
  // It makes a file, writes and syncs it, renames it, syncs the directory, removes two and syncs that again.
  CHECK(failures >= 8);
}

TEST_CASE("Whatever fails while a key is forgotten, no other is lost, and it can be done again", "[checkpoint_upkeep]") {
  const bool dies = GENERATE(false, true);
  const bool with_names = GENERATE(false, true);
  const std::string text = to_string(key(25));
  const auto act = [&text](MemoryDisk& disk) { cp::forget(disk, "d", text, tool); };
  const std::size_t failures = with_each_failure(dies, with_names, act, [&](MemoryDisk& disk, bool failed) {
    const bool there = surveyed(disk).contains(text);
    CHECK((failed || !there));
    if (there) {
      check_filled(disk);
      act(disk);
    }
    check_filled(disk, text);
  });
  CHECK(failures >= 8);
}

TEST_CASE("A key is forgotten wherever it is", "[checkpoint_upkeep]") {
  MemoryDisk disk;
  fill_twice(disk);
  // One is in both, one has failed in the first and is there in the second.
  for (const std::uint64_t number : {25U, 61U}) {
    const std::string text = to_string(key(number));
    const cp::Forgotten done = cp::forget(disk, "d", text, tool);
    CHECK(done.key == key(number));
    CHECK(done.shown == "square(int)");
    CHECK(!surveyed(disk).contains(text));
  }
  CHECK(surveyed(disk).size() == filled - 2);
  const Said said = look(disk, {"", "forget", to_string(key(70)), false, false});
  CHECK(said.code == 0);
  CHECK(contains(said.out, to_string(key(70)) + " is forgotten, a task of square(int)"));
  CHECK(surveyed(disk).size() == filled - 3);
}

TEST_CASE("The beginning of a key will do if no other begins so", "[checkpoint_upkeep]") {
  MemoryDisk disk;
  fill_twice(disk);
  const auto forget = [&disk](const std::string& prefix) { return message_of<UsageError>([&] { cp::forget(disk, "d", prefix, tool); }); };
  std::string text = to_string(key(5));
  const auto all = surveyed(disk);
  std::size_t length = 1;
  const auto begin_so = [&](const auto& known) { return known.first.starts_with(text.substr(0, length)); };
  while (std::count_if(all.begin(), all.end(), begin_so) > 1) ++length;
  CHECK(contains(forget(text.substr(0, length - 1)), length == 1 ? "is not" : "several keys"));
  CHECK(contains(forget(""), "a key is 32 hexadecimal digits"));
  CHECK(contains(forget("12x"), "\"12x\" is not"));
  CHECK(contains(forget(text + "0"), "is not"));
  CHECK(contains(forget(text.substr(0, 31) + (text[31] == '0' ? "1" : "0")), "has nothing whose key begins with"));
  CHECK(surveyed(disk) == all);
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  CHECK(forget(text.substr(0, length)).empty());
  CHECK(surveyed(disk).size() == filled - 1);
  while (surveyed(disk).size() > 1) forget(surveyed(disk).begin()->first);
  CHECK(disk.files.size() == 1);
  forget(surveyed(disk).begin()->first);
  CHECK(disk.files.empty());
}

TEST_CASE("Journals are not rewritten while a job uses them, and the other way round", "[checkpoint_upkeep]") {
  MemoryDisk disk;
  fill_twice(disk);
  Warnings warnings;
  {
    cp::Checkpoint job(disk, "d", settings(warnings));
    cp::Checkpoint another(disk, "d", settings(warnings));
    CHECK(contains(message_of<UsageError>([&] { cp::compact(disk, "d", tool); }), "a job uses the checkpoint d"));
    CHECK(contains(message_of<UsageError>([&] { cp::forget(disk, "d", to_string(key(1)), tool); }), "a job uses the checkpoint d"));
  }
  CHECK(disk.files.size() == 2);
  {
    const auto hold = disk.hold("d/" + std::string(cp::used_name), true);
    cp::Checkpoint::Settings set = settings(warnings);
    set.patience = std::chrono::milliseconds(0);
    CHECK(contains(message_of<UsageError>([&] { cp::Checkpoint(disk, "d", set); }), "is being rewritten"));
  }
  // Where there are no locks jobs do without, and nobody can be sure to be alone.
  disk.unholdable = true;
  check_filled(disk);
  CHECK_THROWS_AS(cp::compact(disk, "d", tool), std::system_error);
  disk.unholdable = false;
  CHECK(cp::compact(disk, "d", tool).journals == 2);
  // What jobs leave behind that have died goes.
  {
    cp::Leases dead(disk, "d", "dead", std::chrono::seconds(30));
    dead.look();
    CHECK(disk.files.size() == 3);
    cp::compact(disk, "d", tool);
    CHECK(disk.files.size() == 1);
  }
  check_filled(disk);
}

TEST_CASE("What is no checkpoint is refused", "[checkpoint_upkeep]") {
  MemoryDisk disk;
  CHECK_THROWS_AS(look(disk, {"", "list", "", false, false}), std::system_error);
  disk.files["d/notes.txt"] = std::make_shared<MemoryDisk::Kept>();
  for (const char* const action : {"list", "verify", "compact"})
    CHECK(contains(message_of<UsageError>([&] { look(disk, {"", action, "", false, false}); }), "d is no checkpoint"));
  CHECK(contains(message_of<UsageError>([&] { look(disk, {"", "forget", "12", false, false}); }), "d is no checkpoint"));
  // One that a job has begun, and nothing is finished.
  disk.files["d/" + std::string(cp::used_name)] = std::make_shared<MemoryDisk::Kept>();
  CHECK(look(disk, {"", "list", "", true, false}).out == "[\n]\n");
  CHECK(look(disk, {"", "compact", "", false, false}).code == 0);
  CHECK(look(disk, {"", "forget", "", false, false}).code == 2);
  CHECK(look(disk, {"", "list", "12", false, false}).code == 2);
}
