// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/stack.hpp"

#include <sys/resource.h>
#include <algorithm>
#include <memory>
#include <system_error>
#include <utility>

namespace rankview::engine {
namespace {

constexpr std::size_t largest_reserve = std::size_t{16} << 20U;
// Instead of no limit. Address space; memory is taken as it is used.
constexpr std::size_t unlimited_stack = std::size_t{1} << 30U;
constexpr std::size_t smallest_unlimited = std::size_t{8} << 20U;

void check(int error, const char* call) {
  if (error != 0) throw std::system_error(error, std::generic_category(), call);
}

// pthread_attr_t with its end.
class Attributes {
 public:
  Attributes() { check(pthread_attr_init(&value), "pthread_attr_init"); }
  Attributes(const Attributes&) = delete;
  Attributes& operator=(const Attributes&) = delete;
  ~Attributes() { pthread_attr_destroy(&value); }

  pthread_attr_t value;
};

bool no_limit() {
  rlimit limit{};
  return getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY;
}

void* run_and_delete(void* argument) {
  const std::unique_ptr<std::function<void()>> run(static_cast<std::function<void()>*>(argument));
  (*run)();
  return nullptr;
}

}  // namespace

Stack::Stack() {
  Attributes own;
  // It makes them anew.
  pthread_attr_destroy(&own.value);
  void* lowest = nullptr;
  std::size_t size = 0;
  // A system that does not tell gives no limit.
  if (pthread_getattr_np(pthread_self(), &own.value) != 0 || pthread_attr_getstack(&own.value, &lowest, &size) != 0) return;
  end_ = static_cast<const char*>(lowest);
  reserve_ = std::min(size / 4, largest_reserve);
}

std::size_t Stack::left() const {
  const auto* const here = static_cast<const char*>(__builtin_frame_address(0));
  return here > end_ ? static_cast<std::size_t>(here - end_) : 0;
}

Thread::Thread(std::function<void()> run) {
  Attributes attributes;
  std::size_t size = no_limit() ? unlimited_stack : 0;
  auto argument = std::make_unique<std::function<void()>>(std::move(run));
  for (;;) {
    if (size != 0) check(pthread_attr_setstacksize(&attributes.value, size), "pthread_attr_setstacksize");
    const int error = pthread_create(&thread_, &attributes.value, run_and_delete, argument.get());
    if (error == 0) break;
    // Address space may be short.
    if (size <= smallest_unlimited) throw std::system_error(error, std::generic_category(), "pthread_create");
    size /= 2;
  }
  static_cast<void>(argument.release());  // it is the thread's
  running_ = true;
}

Thread::Thread(Thread&& other) noexcept : thread_(other.thread_), running_(std::exchange(other.running_, false)) {}

Thread& Thread::operator=(Thread&& other) noexcept {
  std::swap(thread_, other.thread_);
  std::swap(running_, other.running_);
  return *this;
}

void Thread::join() {
  if (std::exchange(running_, false)) pthread_join(thread_, nullptr);
}

}  // namespace rankview::engine
