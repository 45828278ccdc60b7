// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "support.hpp"

#include <rankview/errors.hpp>
#include <rankview/metadata.hpp>

#include <sstream>
#include <unordered_set>

using namespace rankview;

namespace {

TaskPlace place() {
  TaskPlace where;
  where.engine = 3;
  where.rank = 4;
  where.host = "node17";
  where.task = {5, 6};
  return where;
}

}  // namespace

TEST_CASE("a remote error says where, what type and what", "[errors]") {
  const RemoteError error(place(), "std::out_of_range", "too far");
  CHECK(std::string(error.what()) == "engine 3 (rank 4, host node17), task 5.6: std::out_of_range: too far");
  CHECK(error.engine() == 3);
  CHECK(error.host() == "node17");
  CHECK(error.task() == TaskId{5, 6});
  CHECK(error.where().rank == 4);
  CHECK(error.type_name() == "std::out_of_range");
  CHECK(error.message() == "too far");
}

TEST_CASE("a remote error without a place or a type is its message", "[errors]") {
  CHECK(std::string(RemoteError({}, "int", "3").what()) == "3");
  CHECK(std::string(RemoteError(place(), "", "gone").what()) == "engine 3 (rank 4, host node17), task 5.6: gone");
}

TEST_CASE("name and type errors are remote errors of their own", "[errors]") {
  const NameError name("no variable \"a\"", place());
  CHECK(std::string(name.what()) == "engine 3 (rank 4, host node17), task 5.6: rankview::NameError: no variable \"a\"");
  CHECK(name.message() == "no variable \"a\"");
  const TypeError type("not a double");
  CHECK(std::string(type.what()) == "not a double");
  CHECK(type.type_name() == "rankview::TypeError");
  CHECK_THROWS_AS(throw NameError("x"), RemoteError);
  CHECK_THROWS_AS(throw TypeError("x"), RemoteError);
  CHECK_THROWS_AS(throw NameError("x"), Error);
}

TEST_CASE("every error is an Error and a std::runtime_error", "[errors]") {
  CHECK_THROWS_AS(throw UsageError("x"), Error);
  CHECK_THROWS_AS(throw MismatchedBuild("x"), Error);
  CHECK_THROWS_AS(throw TimeoutError("x"), Error);
  CHECK_THROWS_AS(throw MpiError("x"), Error);
  CHECK_THROWS_AS(throw DecodeError("x"), Error);
  CHECK_THROWS_AS(throw TaskAborted("x"), Error);
  CHECK_THROWS_AS(throw CompositeError({}, 0), Error);
  CHECK_THROWS_AS(throw Error("x"), std::runtime_error);
}

TEST_CASE("a composite error lists its failures", "[errors]") {
  std::vector<CompositeError::Failure> failures;
  failures.push_back({2, std::make_exception_ptr(RemoteError(place(), "int", "3"))});
  failures.push_back({7, std::make_exception_ptr(std::runtime_error("plain"))});
  failures.push_back({9, std::make_exception_ptr(42)});
  const CompositeError error(failures, 10);
  CHECK(std::string(error.what()) ==
        "3 of 10 tasks failed:\n"
        "  [2] engine 3 (rank 4, host node17), task 5.6: int: 3\n"
        "  [7] plain\n"
        "  [9] an exception that is not derived from std::exception");
  REQUIRE(error.size() == 3);
  CHECK(error.failures()[1].index == 7);
  CHECK_THROWS_AS(std::rethrow_exception(error.failures()[2].error), int);
}

TEST_CASE("a composite error lists ten failures and counts the rest", "[errors]") {
  const auto make = [](std::size_t count) {
    std::vector<CompositeError::Failure> failures;
    for (std::size_t i = 0; i < count; ++i) failures.push_back({i, std::make_exception_ptr(std::runtime_error("failure"))});
    return CompositeError(failures, 100'000);
  };
  CHECK(unit::contains(make(10).what(), "[9] failure"));
  CHECK_FALSE(unit::contains(make(10).what(), "more"));
  CHECK(unit::contains(make(11).what(), "\n  and 1 more"));
  const CompositeError many = make(50'000);
  CHECK(unit::contains(many.what(), "50000 of 100000 tasks failed:"));
  CHECK(unit::contains(many.what(), "\n  and 49990 more"));
  CHECK(std::string(many.what()).size() < 1000);
  CHECK(many.size() == 50'000);
}

TEST_CASE("one task is told of in the singular", "[errors]") {
  const CompositeError error({{0, std::make_exception_ptr(std::runtime_error("x"))}}, 1);
  CHECK(std::string(error.what()) == "1 of 1 task failed:\n  [0] x");
}

TEST_CASE("task ids", "[errors]") {
  CHECK(to_string(TaskId{17, 3}) == "17.3");
  std::ostringstream text;
  text << TaskId{1, 2};
  CHECK(text.str() == "1.2");
  CHECK(TaskId{1, 9} < TaskId{2, 0});
  CHECK(TaskId{2, 1} > TaskId{2, 0});
  CHECK(std::unordered_set<TaskId>{{1, 1}, {1, 2}, {1, 1}}.size() == 2);
}

TEST_CASE("words for each status", "[errors]") {
  CHECK(std::string(to_string(Status::waiting)) == "waiting");
  CHECK(std::string(to_string(Status::handed_out)) == "handed out");
  CHECK(std::string(to_string(Status::completed)) == "completed");
  CHECK(std::string(to_string(Status::failed)) == "failed");
  CHECK(std::string(to_string(Status::aborted)) == "aborted");
}
