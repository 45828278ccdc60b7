// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "support.hpp"

#include <rankview/detail/code_address.hpp>
#include <rankview/errors.hpp>

#include <cstdlib>
#include <thread>
#include <vector>

using rankview::DecodeError;
using rankview::UsageError;
using rankview::detail::code_address;
using rankview::detail::CodeAddress;
using rankview::detail::executable_id;
using rankview::detail::local_address;

namespace {

int twice(int number) { return 2 * number; }
constexpr int constant = 17;
int variable = 18;
int zeroed[4096];

const void* address_of(int (*function)(int)) { return reinterpret_cast<const void*>(function); }

}  // namespace

TEST_CASE("functions and data of the executable", "[code_address]") {
  for (const void* const address : {address_of(&twice), static_cast<const void*>(&constant), static_cast<const void*>(&variable),
                                    static_cast<const void*>(&zeroed[4095])}) {
    const CodeAddress code = code_address(address);
    CHECK(code.module == executable_id());
    CHECK(local_address(code) == address);
  }
  const auto same = reinterpret_cast<int (*)(int)>(const_cast<void*>(local_address(code_address(address_of(&twice)))));
  CHECK(same(21) == 42);
}

TEST_CASE("functions of shared libraries", "[code_address]") {
  const auto in_libc = reinterpret_cast<const void*>(static_cast<int (*)(const char*)>(&std::atoi));
  const CodeAddress code = code_address(in_libc);
  CHECK(local_address(code) == in_libc);
}

TEST_CASE("the same place has the same address, asked again and by other threads", "[code_address]") {
  const CodeAddress here = code_address(address_of(&twice));
  CodeAddress there;
  const void* back = nullptr;
  std::thread([&] {
    there = code_address(address_of(&twice));
    back = local_address(here);
  }).join();
  CHECK(there == here);
  CHECK(code_address(address_of(&twice)) == here);
  CHECK(back == address_of(&twice));
}

TEST_CASE("more addresses than are remembered", "[code_address]") {
  for (int round = 0; round < 2; ++round) {
    bool same = true;
    for (const int& element : zeroed) same = same && local_address(code_address(&element)) == &element;
    CHECK(same);
  }
}

TEST_CASE("memory outside of every module cannot be named", "[code_address]") {
  const auto heap = std::make_unique<int>(3);
  const int stack = 4;
  CHECK_THROWS_AS(code_address(heap.get()), UsageError);
  CHECK_THROWS_AS(code_address(&stack), UsageError);
  CHECK_THROWS_AS(code_address(nullptr), UsageError);
}

TEST_CASE("a module that is not loaded is an error", "[code_address]") {
  CHECK_THROWS_AS(local_address({executable_id() + 1, 0}), DecodeError);
  CHECK(unit::contains(unit::message_of<DecodeError>([] { static_cast<void>(local_address({12345, 678})); }), "not loaded here"));
}

TEST_CASE("an offset beyond the module is an error", "[code_address]") {
  CodeAddress code = code_address(address_of(&twice));
  code.offset = std::uint64_t{1} << 40U;
  CHECK(unit::contains(unit::message_of<DecodeError>([&] { static_cast<void>(local_address(code)); }), "which is smaller than that"));
  code.offset = ~std::uint64_t{0};
  CHECK_THROWS_AS(local_address(code), DecodeError);
  // A refusal is not remembered as an answer.
  CHECK_THROWS_AS(local_address(code), DecodeError);
}
