// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
// Whatever bytes arrive, a message is read or refused with a DecodeError.
#include "wire/messages.hpp"

#include <rankview/errors.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>

using namespace rankview::wire;

namespace {

// Touches every byte, so that a sanitizer sees what lies outside.
void touch(std::span<const std::byte> bytes) {
  unsigned sum = 0;
  for (const std::byte byte : bytes) sum += static_cast<unsigned>(byte);
  volatile unsigned sink = sum;
  static_cast<void>(sink);
}

void walk(const Batch& batch) {
  ItemCursor cursor(batch);
  for (std::uint64_t i = 0; i < batch.count; ++i) touch(cursor.next());
}
void walk(const Results& results) {
  ResultCursor cursor(results);
  for (std::uint64_t i = 0; i < results.count; ++i) {
    const ItemResult item = cursor.next();
    touch(item.value);
    if (item.failed) {
      Reader value(item.value);
      static_cast<void>(read_failure(value));
    }
  }
}
void walk(const CallableState& object) { touch(object.state); }
void walk(const DropCallable&) {}
void walk(const Stop&) {}
void walk(const Join&) {}
void walk(const Assemble&) {}
void walk(const Disband&) {}
void walk(const Lost&) {}
void walk(const TeamReady&) {}
void walk(const Memory&) {}
void walk(const Published& published) { touch(published.value); }
void walk(const Printed& printed) {
  touch(printed.out);
  touch(printed.err);
}
void walk(const Recall&) {}
void walk(const Returned&) {}
void walk(const Overdue&) {}
void walk(const Suspended&) {}
void walk(const Subtask& subtask) {
  touch(subtask.object);
  touch(subtask.item);
}
void walk(const SubtaskResult& answer) {
  touch(answer.value);
  if (answer.failed == 0) return;
  Reader value(answer.value);
  static_cast<void>(read_failure(value));
}
void walk(const Forward&) {}
void walk(const Delivery& delivery) { touch(delivery.value); }
void walk(const End&) {}
void walk(const Bye&) {}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Reader in({reinterpret_cast<const std::byte*>(data), size});
  try {
    while (!in.done()) {
      const Record record = read(in);
      std::visit([](const auto& of_kind) { walk(of_kind); }, record);
    }
  } catch (const rankview::DecodeError&) {
    // Refused. Anything else that is thrown ends the fuzzer.
  }
  return 0;
}
