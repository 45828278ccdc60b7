// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "fixture.hpp"
#include "particle.hpp"

#include <unistd.h>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

using test::balanced;
using test::client;
using test::contains;
using test::everyone;

// C++ source that rank 0 compiles and engines run.
namespace {

// How often the compiler has been asked to compile code: RANKVIEW_CXX is a script that counts.
long compilations() {
  std::ifstream in(std::getenv("RANKVIEW_TEST_COMPILATIONS"));
  long count = 0;
  for (std::string line; std::getline(in, line);) ++count;
  return count;
}

// A source file, until the end of the test.
class File {
 public:
  explicit File(const std::string& text)
      : path_((std::filesystem::temp_directory_path() / ("rankview code." + std::to_string(getpid()) + ".cpp")).string()) {
    std::ofstream(path_) << text;
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { std::filesystem::remove(path_); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

rv::CompileError compile_error(const std::string& code) {
  return test::thrown<rv::CompileError>([&code] { client()[0].execute_sync(code); });
}

template <class T>
std::vector<T> on_all(T value) {
  return std::vector<T>(client().size(), std::move(value));
}

}  // namespace

TEST_CASE("code sees variables by name, and they see it") {
  everyone().clear_sync();
  everyone()["a"] = std::vector<double>{1, 2, 3};
  everyone()["m"] = std::map<std::string, int>{{"x", 1}};
  everyone().execute_sync("a.push_back(4); double sum = 0; for (double x : a) sum += x; total = sum; ++m[\"x\"];");
  CHECK(everyone()["total"].get<double>() == on_all(10.0));
  CHECK(everyone()["a"].get<std::vector<double>>() == on_all(std::vector<double>{1, 2, 3, 4}));
  CHECK(everyone()["m"].get<std::map<std::string, int>>()[0].at("x") == 2);
  CHECK_FALSE(client()[0].contains_sync("sum"));

  std::vector<int> range(3 * client().size());
  for (std::size_t i = 0; i < range.size(); ++i) range[i] = static_cast<int>(i);
  everyone().scatter_sync("part", range);
  everyone().execute_sync("for (int& x : part) x *= x;");
  const auto squares = everyone().gather_sync<int>("part");
  for (std::size_t i = 0; i < range.size(); ++i) CHECK(squares[i] == range[i] * range[i]);

  everyone().apply_sync([] { rv::this_engine::vars().set("made", std::string("by a task")); });
  CHECK(client()[0].execute_sync<std::size_t>("made.size()") == 9);
  everyone().execute_sync("v = std::vector<int>{id, size};");
  CHECK(everyone().apply_sync([](std::vector<int>& v) { return v[0] + 10 * v[1]; }, rv::ref("v"))[0] == 10 * test::engines());
}

TEST_CASE("the value of code is its last expression, or what it returns") {
  CHECK(everyone().execute_sync<int>("6 * 7") == on_all(42));
  CHECK(client()[0].execute_sync<double>("int n = 3;\nn / 2.0;") == 1.5);
  CHECK(client()[0].execute_sync<std::string>("if (size > 0) return \"some\";\nreturn \"none\";") == "some");
  CHECK(client()[0].execute_sync<int>("k = 3; k = k + 1") == 4);
  CHECK(client()[0].execute_sync<std::vector<std::string>>("std::vector<std::string>{\"a\", std::string(100, 'b')}")[1].size() == 100);
  CHECK(balanced().execute_sync<int>("a = 3; int b = 4; a * b") == 12);
  CHECK(everyone().execute<int>("id + 1").get(test::limit)[0] == 1);
  CHECK(test::thrown<rv::CompileError>([] { client()[0].execute_sync<int>("int n = 3;"); }).messages().size() == 1);
  const auto none = test::thrown<rv::RemoteError>([] { client()[0].execute_sync<int>("if (size < 0) return 1;"); });
  CHECK(contains(none.message(), "without a value"));
}

TEST_CASE("a value for a name makes a variable, and one of another type replaces it") {
  everyone().clear_sync();
  everyone().execute_sync("x = 1;");
  CHECK(everyone()["x"].get<int>() == on_all(1));
  everyone().execute_sync("x = x + 1; x = x * 2.5; y = \"text\"; x = std::to_string(x) + y; z = x.size();");
  CHECK(client()[0]["x"].get<std::string>() == "5.000000text");
  CHECK(client()[0]["z"].get<std::size_t>() == 12);
  CHECK(client()[0]["y"].get<std::string>() == "text");
  everyone().execute_sync("int local = 3; local = 4; y = local; { int y = 5; y = 6; }");
  CHECK(client()[0]["y"].get<int>() == 4);
  CHECK_FALSE(client()[0].contains_sync("local"));
  // A lambda without captures is a function that can be called by name.
  everyone().execute_sync("f = [](double v) { return v / 2; };");
  CHECK(client()[0].execute_sync<double>("f(3)") == 1.5);
  CHECK(client()[0].apply_sync(rv::ref<double (*)(double)>("f"), 5) == 2.5);
  // What lies in the same place is still there.
  everyone().execute_sync("v = std::vector{1, 2, 3}; auto* p = &v; v = std::vector{4}; n = (*p)[0];");
  CHECK(client()[0]["n"].get<int>() == 4);
  // What code has made, engines can send to each other.
  everyone().broadcast_sync(0, "v");
  CHECK(everyone()["v"].get<std::vector<int>>() == on_all(std::vector<int>{4}));
}

TEST_CASE("functions, types, templates and includes stand among statements, and stay") {
  everyone().clear_sync();
  everyone()["factor"] = 3.0;
  everyone().execute_sync(
      "#include <bitset>\n"
      "struct Point { double x, y; };\n"
      "double scaled(double v) { return factor * v; }\n"
      "p = Point{1, scaled(2)};\n"
      "template <class T> T twice(T v) { return v + v; }\n"
      "constexpr int answer = 42;\n"
      "enum Color { red, green };\n"
      "bits = std::bitset<8>(answer).count();");
  CHECK(client()[0].execute_sync<double>("twice(p.x) + p.y") == 8);
  CHECK(client()[0].execute_sync<int>("answer + green") == 43);
  CHECK(client()[0]["bits"].get<std::size_t>() == 3);
  // The function sees what the variable is now, and so does one that calls it.
  everyone()["factor"] = 10.0;
  everyone().execute_sync("double sum(const Point& q) { return scaled(q.x) + q.y; }\nlist = std::vector<Point>{p, p};");
  CHECK(client()[0].execute_sync<double>("sum(list[1])") == 16);
  CHECK(client()[0].execute_sync<double>("std::vector<double> v{1, 2}; std::transform(v.begin(), v.end(), v.begin(), scaled); v[1]") == 20);
  // Declared anew.
  everyone().execute_sync("struct Point { std::string name; };\nq = Point{\"q\"};");
  CHECK(client()[0].execute_sync<std::string>("q.name") == "q");
  CHECK(client()[0].execute_sync<double>("p.y") == 6);
}

TEST_CASE("id and size are the engine's, unless it has variables of these names") {
  everyone().clear_sync();
  CHECK(everyone().execute_sync<int>("id").back() == test::engines() - 1);
  CHECK(everyone().execute_sync<int>("int next() { return (id + 1) % size; }\nnext()")[0] == 1 % test::engines());
  CHECK(client()[0].execute_sync<std::size_t>("std::string s = \"four\"; s.size()") == 4);
  everyone()["id"] = std::string("mine");
  CHECK(client()[0].execute_sync<std::string>("id") == "mine");
  everyone().clear_sync();
}

TEST_CASE("the same code is compiled once") {
  everyone().clear_sync();
  everyone()["n"] = 1;
  everyone().execute_sync("n += 10;");
  const long before = compilations();
  for (int i = 0; i < 5; ++i) everyone().execute_sync("n += 10;");
  client()[0].execute_sync("n += 10;");
  balanced().execute_sync("n += 10;");
  // Others have been declared meanwhile.
  CHECK(compilations() == before);
  everyone().execute_sync("#include <stack>\nint other() { return 1; }");
  everyone().execute_sync("n += 10;");
  CHECK(compilations() == before + 1);
  // Another type makes another program.
  everyone()["n"] = 0.5;
  everyone().execute_sync("n += 10;");
  CHECK(compilations() == before + 2);
  CHECK(everyone()["n"].get<double>() == on_all(10.5));
}

TEST_CASE("engines that have not had the code get it") {
  if (test::engines() < 2) return;
  client()[0].execute_sync("rare = 7;");
  const long before = compilations();
  everyone().execute_sync("rare = 7;");
  CHECK(everyone()["rare"].get<int>() == on_all(7));
  CHECK(compilations() == before);
}

TEST_CASE("executing is a call like others") {
  const auto result = everyone().with({.label = "code"}).execute<int>("id * 2");
  REQUIRE(result.wait(test::limit));
  CHECK(result.size() == client().size());
  CHECK(result.metadata(0).label == "code");
  CHECK(result.metadata(0).engine == 0);
  std::vector<rv::AsyncResult<int>> several;
  for (int i = 0; i < 10; ++i) several.push_back(balanced().execute<int>("id >= 0 ? 5 : 6"));
  for (const auto& one : several) CHECK(one.get(test::limit) == 5);
  const auto aborted = everyone().with({.after = {result}}).execute("unused = 1;");
  aborted.abort();
  CHECK(aborted.wait(test::limit));
  CHECK(test::alive());
  // In the order in which they were asked for, where each waits for the one before it.
  const auto first = everyone().execute("order = 1;");
  const auto second = everyone().with({.after = {first}}).execute("order = order + 1;");
  second.get(test::limit);
  CHECK(everyone()["order"].get<int>() == on_all(2));
}

TEST_CASE("rank 0 goes on while the compiler works") {
  const auto compiled = everyone().execute<double>("std::vector<double> fresh(10, 0.5); std::accumulate(fresh.begin(), fresh.end(), 0.0)");
  CHECK(test::alive());
  CHECK(balanced().map([](int i) { return 2 * i; }, std::vector<int>{1, 2, 3}).get(test::limit) == std::vector<int>{2, 4, 6});
  CHECK(compiled.get(test::limit) == on_all(5.0));
}

TEST_CASE("a continuation may execute code, and wait for it") {
  const auto first = client()[0].apply([] { return 20; });
  const auto second = first.then([](int value) { return client()[0].execute_sync<int>("21 + " + std::to_string(value)); });
  CHECK(second.get(test::limit) == 41);
}

TEST_CASE("what does not compile is a CompileError of the code's own lines") {
  const auto error = compile_error("int n = 3;\n\n  n = nowhere + 1;\n");
  CHECK(error.line() == 3);
  CHECK(error.messages()[0].file == "<code>");
  CHECK(contains(error.what(), "<code>:3:"));
  CHECK(contains(error.what(), "nowhere"));
  CHECK_FALSE(contains(error.what(), "rankview_"));
  CHECK(compile_error("std::vector<int> v;\nstd::sort(v.begin(), v.end(),\n  3);\n").line() == 2);
  CHECK(compile_error("f(1);\nif (true) {\n  g();\n").line() == 2);
  CHECK(compile_error("#include <no_such_header>\n").line() == 1);
  CHECK(compile_error("int f() {\n  return \"text\";\n}\n").line() == 2);
  CHECK(compile_error("x = 1;\nx = {1, 2};\nunknown = {1, 2};").line() == 3);
  CHECK(compile_error("x = 1\ny = 2;").line() <= 2);
  CHECK(contains(compile_error("int 변수 = \"\\\"\";").what(), "<code>:1:"));
  // One error for all engines, and as the result of a call.
  const auto result = everyone().execute("nothing();");
  CHECK(result.wait(test::limit));
  CHECK_THROWS_AS(result.get(), rv::CompileError);
  CHECK_THROWS_AS(balanced().execute_sync("nothing();"), rv::CompileError);
  // What was declared with it has not been.
  CHECK(compile_error("int broken() { return none; }\n").line() == 1);
  CHECK(contains(compile_error("broken();").what(), "broken"));
  CHECK(client()[0].execute_sync<int>("int broken() { return 1; }\nbroken()") == 1);
  CHECK(test::alive());
}

TEST_CASE("a variable of a type that code cannot know is told by name") {
  struct Local {
    int x;
  };
  client()[0].apply_sync([] { rv::this_engine::vars().set("strange", Local{1}); });
  CHECK(contains(compile_error("strange.x = 2;").what(), "strange"));
  client()[0].clear_sync();
}

// RANKVIEW_EXECUTE_INCLUDE names the header.
TEST_CASE("code knows the types of the program's own header") {
  everyone()["particle"] = app::Particle{2, {1, 2, 3}};
  everyone().execute_sync("particle.path.push_back(weight(particle)); copies = std::vector<app::Particle>(2, particle);");
  const auto copies = everyone()["copies"].get<std::vector<app::Particle>>();
  CHECK(copies.back()[1].path == std::vector<double>{1, 2, 3, 20});
  CHECK(client()[0].execute_sync<app::Particle>("copies[0].mass = 5; copies[0]").mass == 5);
}

TEST_CASE("where an engine has not got a variable, that task fails") {
  everyone().clear_sync();
  client()[0]["only"] = 1;
  if (test::engines() == 1) {
    CHECK(client()[0].execute_sync<int>("only") == 1);
    return;
  }
  const auto result = everyone().execute<int>("only + 1");
  REQUIRE(result.wait(test::limit));
  const auto outcomes = result.results();
  CHECK(outcomes[0].value() == 2);
  for (std::size_t i = 1; i < outcomes.size(); ++i) {
    const auto error = test::held<rv::NameError>(outcomes[i].error());
    CHECK(contains(error.what(), "\"only\""));
    CHECK(error.engine() == static_cast<int>(i));
  }
  client()[1]["only"] = std::string("text");
  const auto other = everyone().execute<int>("only + 1");
  REQUIRE(other.wait(test::limit));
  CHECK(contains(test::held<rv::TypeError>(other.results()[1].error()).what(), "std::string"));
  everyone().clear_sync();
}

TEST_CASE("what code throws is told with its line") {
  const auto error = test::thrown<rv::RemoteError>([] { client()[0].execute_sync("int n = 1;\n\nthrow std::out_of_range(\"far\");"); });
  CHECK(error.type_name() == "std::out_of_range");
  CHECK(error.message() == "far (<code>, line 3)");
  CHECK(error.engine() == 0);
  // It is not told of what fails next.
  CHECK(test::thrown<rv::RemoteError>([] { client()[0].apply_sync([] { throw std::runtime_error("plain"); }); }).message() == "plain");
  const auto some = everyone().execute("if (id % 2) throw std::runtime_error(\"odd\");");
  REQUIRE(some.wait(test::limit));
  const auto outcomes = some.results();
  for (std::size_t i = 0; i < outcomes.size(); ++i) CHECK(outcomes[i].has_value() == (i % 2 == 0));
  if (test::engines() > 1) CHECK(test::thrown<rv::CompositeError>([&some] { some.get(); }).size() == client().size() / 2);
}

TEST_CASE("code may run isolated") {
  everyone().clear_sync();
  everyone()["kept"] = 1;
  const auto forked = everyone().with({.isolation = rv::fork});
  CHECK(forked.execute_sync<int>("kept = kept + 1; kept") == on_all(2));
  CHECK(everyone()["kept"].get<int>() == on_all(1));
  const auto crash = client()[0].with({.isolation = rv::fork});
  const std::string raise = "std::raise(SIGKILL);";
  CHECK(test::thrown<rv::TaskCrashed>([&] { crash.execute_sync("#include <csignal>\n" + raise); }).signal() == SIGKILL);
  CHECK(balanced().with({.isolation = rv::process}).execute_sync<int>("2 + 3") == 5);
  CHECK_THROWS_AS(balanced().with({.timeout = 0.2s, .isolation = rv::process}).execute_sync("while (getpid() != 0) usleep(1000);"),
                  rv::TimeoutError);
  CHECK(test::alive());
}

TEST_CASE("files are run") {
  everyone().clear_sync();
  const File file(
      "#include <numeric>\n"
      "double mean(const std::vector<double>& v) { return std::accumulate(v.begin(), v.end(), 0.0) / v.size(); }\n"
      "result = mean({1, 2, 6});\n"
      "words = args;\n");
  everyone().run_sync(file.path(), {"a", "b c"});
  CHECK(everyone()["result"].get<double>() == on_all(3.0));
  CHECK(client()[0]["words"].get<std::vector<std::string>>() == std::vector<std::string>{"a", "b c"});
  // With other arguments it is the same code.
  const long before = compilations();
  client()[0].run_sync(file.path(), {"d"});
  CHECK(client()[0]["words"].get<std::vector<std::string>>() == std::vector<std::string>{"d"});
  CHECK(compilations() == before);
  CHECK(client()[0].execute_sync<double>("mean({4, 6})") == 5);
  CHECK_THROWS_AS(client()[0].run_sync("/no/such/file.cpp"), rv::UsageError);
}

TEST_CASE("a file's errors are its own lines, and its main() is called") {
  const File file("int main(int argc, char** argv) {\n  return argc + argv[1][0] - 'a';\n}\n");
  CHECK(client()[0].run_sync<int>(file.path(), {"b"}) == 3);
  const auto ended = test::thrown<rv::RemoteError>([&] { client()[0].run_sync(file.path(), {"b"}); });
  CHECK(contains(ended.message(), "main() returned 3"));
  const File wrong("\nint f() {\n  return none;\n}\n");
  const auto error = test::thrown<rv::CompileError>([&] { client()[0].run_sync(wrong.path()); });
  CHECK(error.line() == 3);
  CHECK(error.messages()[0].file == wrong.path());
}

TEST_CASE("a long file") {
  std::string text = "long sum = 0;\n";
  for (int i = 0; i < 10'000; ++i) text += "sum += " + std::to_string(i) + ";\n";
  const File file(text + "total = sum;\n");
  client()[0].run_sync(file.path());
  CHECK(client()[0]["total"].get<long>() == 49'995'000);
}

// Without any compiler.
TEST_CASE("a missing compiler is told in one sentence", "[.no_compiler]") {
  const auto error = test::thrown<rv::CompileError>([] { everyone().execute_sync("x = 1;"); });
  CHECK(error.messages().empty());
  CHECK(contains(error.what(), "RANKVIEW_CXX should name a C++ compiler"));
  CHECK(test::alive());
}
