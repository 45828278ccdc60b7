// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "catch.hpp"
#include "cli/farm.hpp"
#include "farm/engine_host.hpp"
#include "farm/input.hpp"
#include "farm/interpreter.hpp"
#include "farm/needs.hpp"
#include "farm/quoting.hpp"
#include "farm/template.hpp"
#include "isolation/fd.hpp"
#include "unit/environment.hpp"

#include <rankview/errors.hpp>

#include <unistd.h>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace rankview::farm;
namespace cli = rankview::cli;

namespace {

std::string expanded(std::string_view text, const Arguments& arguments, std::uint64_t number = 1) {
  return with_slot(Template(text, Template::Ending::arguments).expand(arguments, number), 7);
}

// All that an input has, arguments with commas between them.
std::vector<std::string> all_of(Input& input) {
  std::vector<std::string> lines;
  Arguments arguments;
  while (input.next(arguments) == Next::there) {
    std::string line;
    for (const std::string& argument : arguments) line += (line.empty() ? "" : ",") + argument;
    lines.push_back(line);
  }
  return lines;
}

std::unique_ptr<Records> words(std::vector<std::string> list) { return std::make_unique<WordRecords>(std::move(list)); }

// A file that somebody writes.
struct Pipe {
  Pipe() {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    read = rankview::isolation::Fd(ends[0]);
    write = rankview::isolation::Fd(ends[1]);
  }
  void put(std::string_view text) const { REQUIRE(::write(write.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size())); }

  rankview::isolation::Fd read;
  rankview::isolation::Fd write;
};

using Lines = std::vector<std::string>;

}  // namespace

// What GNU parallel 20221122 prints for the same by --dry-run.
TEST_CASE("arguments are quoted as GNU parallel quotes them", "[lines]") {
  CHECK(shell_quoted("plain-1_2.3/4+5") == "plain-1_2.3/4+5");
  CHECK(shell_quoted("") == "''");
  CHECK(shell_quoted("two words") == "'two words'");
  CHECK(shell_quoted("'") == "\"'\"");
  CHECK(shell_quoted("''") == "\"'\"''\"'\"");
  CHECK(shell_quoted("a'b") == "'a'\"'\"'b'");
  CHECK(shell_quoted("'a") == "\"'\"'a'");
  CHECK(shell_quoted("a'") == "'a'\"'\"");
  CHECK(shell_quoted("a\nb") == "'a\nb'");
  CHECK(shell_quoted("\xc3\xa9") == "'\xc3\xa9'");
  CHECK(shell_quoted("~x") == "'~x'");
}

TEST_CASE("places in a command are filled in", "[lines]") {
  CHECK(expanded("echo", {"a b"}) == "echo 'a b'");
  CHECK(expanded("echo {}", {"a", "b c"}) == "echo a 'b c'");
  CHECK(expanded("echo {2}{1}{3}x{-1}", {"a", "b"}) == "echo baxb");
  CHECK(expanded("echo {#} {%}", {"a"}, 12) == "echo 12 7");
  CHECK(expanded("x {nothing} {} {", {"a"}) == "x {nothing} a {");
  CHECK(expanded("{{}}", {"a"}) == "{a}");
  CHECK(expanded("{1.}:{2/}", {"a.b", "c/d"}) == "a:d");
  CHECK(expanded("cp {0}", {"a"}) == "cp a");
  CHECK(expanded("x {99999999999999999999}", {"a"}) == "x {99999999999999999999} a");
  // What begins with a place is put in as it is.
  CHECK(expanded("{1} {2}", {"echo a", "b c"}) == "echo a b c");
  CHECK(expanded("{#} {}", {"a b"}) == "1 a b");
  CHECK(expanded(" {}", {"a b"}) == " 'a b'");
  CHECK(Template::of_lines().expand({"echo \"a b\" | cat"}, 1).text == "echo \"a b\" | cat");
  CHECK(Template("t {} {#}", Template::Ending::as_is).expand_plain({"a b"}, 3) == "t a b 3");
  CHECK_THROWS_AS(Template("echo {= $_++ =}", Template::Ending::arguments), rankview::UsageError);
}

TEST_CASE("parts of paths are what GNU parallel takes for them", "[lines]") {
  const auto forms = [](const std::string& path) {
    return Template("[{.}] [{/}] [{//}] [{/.}]", Template::Ending::as_is).expand_plain({path}, 1);
  };
  CHECK(forms("a") == "[a] [a] [.] [a]");
  CHECK(forms("a.b") == "[a] [a.b] [.] [a]");
  CHECK(forms("/a") == "[/a] [a] [/] [a]");
  CHECK(forms("a/") == "[a/] [] [.] []");
  CHECK(forms("/a/") == "[/a/] [] [/] []");
  CHECK(forms("/a/b/") == "[/a/b/] [] [/a] []");
  CHECK(forms("a.b/c") == "[a.b/c] [c] [a.b] [c]");
  CHECK(forms("a/.b") == "[a/] [.b] [a] []");
  CHECK(forms(".b") == "[] [.b] [.] []");
  CHECK(forms("/") == "[/] [] [/] []");
  CHECK(forms("a//b") == "[a//b] [b] [a] [b]");
  CHECK(forms("") == "[] [] [.] []");
  CHECK(forms("a.b.c") == "[a.b] [a.b.c] [.] [a.b]");
}

TEST_CASE("sources are combined, the last of them changing fastest", "[lines]") {
  Input input;
  CHECK(all_of(input).empty());
  input.add(words({"a", "b"}));
  input.add(words({"1", "2"}));
  input.add(words({"x", "y"}));
  CHECK(all_of(input) == Lines{"a,1,x", "a,1,y", "a,2,x", "a,2,y", "b,1,x", "b,1,y", "b,2,x", "b,2,y"});
}

TEST_CASE("linked sources go in step, as far as the shortest", "[lines]") {
  Input input;
  input.add(words({"a", "b", "c"}));
  input.add(words({"1", "2"}), true);
  input.add(words({"X", "Y"}));
  input.add(words({"11", "22"}), true);
  CHECK(all_of(input) == Lines{"a,1,X,11", "a,1,Y,22", "b,2,X,11", "b,2,Y,22"});
}

TEST_CASE("where one source has nothing there is nothing", "[lines]") {
  Input input;
  input.add(words({"a", "b"}));
  input.add(words({}));
  CHECK(all_of(input).empty());
}

TEST_CASE("columns are linked sources, too", "[lines]") {
  const auto columns = [](const std::string& separator, const std::string& line) {
    Input input;
    input.add(words({line}));
    input.split_by(Columns(separator));
    Arguments arguments;
    CHECK(input.next(arguments) == Next::there);
    return arguments;
  };
  CHECK(columns(",", "a, b ,c") == Arguments{"a", "b", "c"});
  CHECK(columns(",", "a,,") == Arguments{"a", "", ""});
  CHECK(columns("\\t", "a b\tc") == Arguments{"a b", "c"});
  CHECK(columns("\\s+", "a  b\tc") == Arguments{"a", "b", "c"});
  CHECK(columns("\\|", "a|b") == Arguments{"a", "b"});
  CHECK(columns("::", "a::b") == Arguments{"a", "b"});
  CHECK_THROWS_AS(Columns("[,;]"), rankview::UsageError);
  CHECK_THROWS_AS(Columns(""), rankview::UsageError);
}

TEST_CASE("lines of a file come as they are written", "[lines]") {
  Pipe pipe;
  FileRecords records(std::move(pipe.read), '\n');
  std::string line;
  CHECK(records.next(line) == Next::later);
  pipe.put("one\nt");
  CHECK(records.next(line) == Next::there);
  CHECK(line == "one");
  CHECK(records.next(line) == Next::later);
  pipe.put("wo\n\nthree");
  CHECK(records.next(line) == Next::there);
  CHECK(line == "two");
  CHECK(records.next(line) == Next::there);
  CHECK(line.empty());
  CHECK(records.next(line) == Next::later);
  pipe.write.reset();
  CHECK(records.next(line) == Next::there);
  CHECK(line == "three");
  CHECK(records.next(line) == Next::none);
}

TEST_CASE("a group of sources waits for the one that is not there yet", "[lines]") {
  Pipe pipe;
  const int reading = pipe.read.get();
  Input input;
  input.add(words({"a", "b"}));
  input.add(std::make_unique<FileRecords>(std::move(pipe.read), '\0'), true);
  Arguments arguments;
  CHECK(input.next(arguments) == Next::later);
  CHECK(input.descriptor() == reading);
  pipe.put(
      std::string_view("1\0"
                       "2\n2\0",
                       6));
  CHECK(input.next(arguments) == Next::there);
  CHECK(arguments == Arguments{"a", "1"});
  CHECK(input.next(arguments) == Next::there);
  CHECK(arguments == Arguments{"b", "2\n2"});
  CHECK(input.next(arguments) == Next::none);
}

TEST_CASE("there is no such file of arguments", "[lines]") { CHECK_THROWS_AS(FileRecords("/nowhere/at/all", '\n'), std::system_error); }

TEST_CASE("a shell is left out where a command means the same without", "[lines]") {
  const unit::Environment path("PATH", "/nowhere:/bin:/usr/bin");
  Interpreter interpreter("");
  const auto direct = [&interpreter](const std::string& command) {
    return interpreter.of(command).words != Lines{"/bin/sh", "-c", command};
  };
  CHECK(interpreter.of("ls  -l\t/tmp ").words == Lines{"ls", "-l", "/tmp"});
  CHECK(interpreter.of("ls").program == "/bin/ls");
  CHECK(interpreter.of("/bin/ls x").program == "/bin/ls");
  CHECK_FALSE(direct("echo a"));
  CHECK_FALSE(direct("cd /tmp"));
  CHECK_FALSE(direct("if"));
  CHECK_FALSE(direct("no-such-program-here a"));
  CHECK_FALSE(direct(""));
  for (const char c : std::string_view("|&;<>()$`\\\"'*?[]#~=%!{}^\n")) CHECK_FALSE(direct(std::string("ls a") + c));
  CHECK(Interpreter("/bin/bash").of("ls").words == Lines{"/bin/bash", "-c", "ls"});
}

TEST_CASE("a farm's words are told apart", "[lines]") {
  Lines line{"farm", "-j", "2", "--", "echo", "--", "{}", ":::", "a", "b", "::::+", "f", ":::"};
  cli::FarmWish wish;
  cli::split_farm_words(line, wish);
  CHECK(line == Lines{"farm", "-j", "2"});
  CHECK(wish.command == Lines{"echo", "--", "{}"});
  REQUIRE(wish.sources.size() == 3);
  CHECK(wish.sources[0].words == Lines{"a", "b"});
  CHECK_FALSE(wish.sources[0].files);
  CHECK(wish.sources[1].words == Lines{"f"});
  CHECK(wish.sources[1].files);
  CHECK(wish.sources[1].linked);
  CHECK(wish.sources[2].words.empty());
  CHECK_THROWS_AS(cli::refuse_unoffered({"farm", "--memfree=1G"}), rankview::UsageError);
  CHECK_NOTHROW(cli::refuse_unoffered({"farm", "--jobs=3", "memfree"}));
}

TEST_CASE("the number of slots is told as GNU parallel has it", "[lines]") {
  CHECK(cli::slots_of("", 8) == 8);
  CHECK(cli::slots_of("3", 8) == 3);
  CHECK(cli::slots_of("+2", 8) == 10);
  CHECK(cli::slots_of("-2", 8) == 6);
  CHECK(cli::slots_of("-20", 8) == 1);
  CHECK(cli::slots_of("50%", 8) == 4);
  CHECK(cli::slots_of("1%", 8) == 1);
  CHECK(cli::slots_of("0", 8) > 8);
  CHECK_THROWS_AS(cli::slots_of("x", 8), rankview::UsageError);
  CHECK_THROWS_AS(cli::slots_of("%", 8), rankview::UsageError);
}

TEST_CASE("a delimiter is one character", "[lines]") {
  CHECK(cli::delimiter_of(",") == ',');
  CHECK(cli::delimiter_of("\\n") == '\n');
  CHECK(cli::delimiter_of("\\0") == '\0');
  CHECK(cli::delimiter_of("\\x2c") == ',');
  CHECK(cli::delimiter_of("\\054") == ',');
  CHECK_THROWS_AS(cli::delimiter_of("ab"), rankview::UsageError);
}

TEST_CASE("a command says at its end what it needs", "[lines]") {
  const auto taken = [](std::string text) {
    const Needs needs = take_needs(text, {2, 5, 0, std::chrono::seconds(7)});
    return text + "|" + std::to_string(needs.cores) + "|" + std::to_string(needs.memory) + "|" + std::to_string(needs.gpus) + "|" +
           std::to_string(needs.timeout.count() / 1'000'000);
  };
  CHECK(taken("./app 3") == "./app 3|2|5|0|7000");
  CHECK(taken("./app 3  #rv cores=4 memory=2G gpus=1 timeout=1.5s") == "./app 3|4|2147483648|1|1500");
  CHECK(taken("#rv cores=1") == "|1|5|0|7000");
  // Just a part of the command.
  CHECK(taken("echo 'a #rv b'") == "echo 'a #rv b'|2|5|0|7000");
  CHECK(taken("echo '#rv cores=4'") == "echo '#rv cores=4'|2|5|0|7000");
  CHECK(taken("echo a#rv cores=4") == "echo a#rv cores=4|2|5|0|7000");
  for (const char* const wrong :
       {"a #rv core=4", "a #rv cores=0", "a #rv cores=x", "a #rv memory=12", "a #rv timeout=soon", "a #rv gpus=1.5"}) {
    std::string text = wrong;
    CHECK_THROWS_AS(take_needs(text, {}), rankview::UsageError);
  }
  CHECK(too_much({4, 0, 0, {}}, 4, 0, 0).empty());
  CHECK(too_much({5, 0, 0, {}}, 4, 0, 0) == "it wants 5 cores, and there are 4");
  CHECK(too_much({1, 3ULL << 30U, 0, {}}, 4, 2ULL << 30U, 0) == "it wants 3G of memory, and there are 2G");
  CHECK(too_much({1, 3, 0, {}}, 4, 0, 0).empty());
  CHECK(too_much({1, 0, 1, {}}, 4, 0, 0) == "it wants 1 GPUs, and there are 0");
}

TEST_CASE("engines of one host share its memory, and no GPU is two's", "[lines]") {
  const EngineHost first{"a", 4, false, 100, {"0", "1", "2"}};
  const EngineHost other{"b", 4, true, 100, {"0"}};
  const std::vector<EngineHost> all{first, other, first};
  CHECK(share_of(all, 0).memory == 50);
  CHECK(share_of(all, 0).gpus == std::vector<std::string>{"0", "2"});
  CHECK(share_of(all, 2).gpus == std::vector<std::string>{"1"});
  CHECK(share_of(all, 1).memory == 100);
  CHECK(share_of(all, 1).gpus == std::vector<std::string>{"0"});
}
