// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "capture/redirection.hpp"

#include "liveness/quiet_thread.hpp"
#include "transport/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <stdio_ext.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>

namespace rankview::capture {
namespace {

std::atomic<Redirection*> diverted{nullptr};

// As much as the system lets anybody have; less will do.
constexpr int pipe_bytes = 1 << 20;

isolation::Fd checked(int fd, const char* what) {
  if (fd < 0) throw std::system_error(errno, std::generic_category(), what);
  return isolation::Fd(fd);
}

// What lies in buffers of this process.
void flush_buffers() noexcept {
  try {
    std::cout.flush();
    std::clog.flush();
  } catch (...) {
    // The program wants to be told of errors of its streams, and will be, by the next one.
    static_cast<void>(0);
  }
  std::fflush(stdout);
  std::fflush(stderr);
}

// Calls `take` with what is there now.
template <class Take>
void read_ready(int fd, Take take) {
  std::array<char, 16 * 1024> part;
  int left = 0;
  if (::ioctl(fd, FIONREAD, &left) != 0) return;
  while (left > 0) {
    const ssize_t got = ::read(fd, part.data(), std::min(part.size(), static_cast<std::size_t>(left)));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return;
    take(std::string_view(part.data(), static_cast<std::size_t>(got)));
    left -= static_cast<int>(got);
  }
}

}  // namespace

Redirection::Stream::Stream(int which, int engine) : number(which), lines(prefix_of(which, engine)) {
  std::tie(from, into) = isolation::pipe_pair();
  ::fcntl(from.get(), F_SETFL, O_NONBLOCK);
  ::fcntl(into.get(), F_SETPIPE_SZ, pipe_bytes);
}

Redirection::Redirection(const Terms& terms, int engine)
    : terms_(terms),
      streams_{Stream(STDOUT_FILENO, engine), Stream(STDERR_FILENO, engine)},
      ready_(checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      quit_(checked(::eventfd(0, EFD_CLOEXEC), "eventfd")) {
  for (const Stream& stream : streams_) {
    epoll_event event{};
    event.events = EPOLLIN;
    ::epoll_ctl(ready_.get(), EPOLL_CTL_ADD, stream.from.get(), &event);
  }
  // How stdout is buffered is decided when it is first used, which is not to be in a task.
  if (terms_.shows || (__fbufsize(stdout) == 0 && ::isatty(STDOUT_FILENO) != 0)) std::setvbuf(stdout, nullptr, _IOLBF, 0);
  transport::set_before_end(&capture::give_back);
  thread_ = liveness::quiet_thread([this] { pump(); });
}

Redirection::~Redirection() {
  restore();
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(quit_.get(), &one, sizeof(one));
  thread_.join();
}

void Redirection::divert() {
  flush_buffers();
  for (Stream& stream : streams_) {
    if (!stream.original) {
      stream.original = isolation::Fd(::fcntl(stream.number, F_DUPFD_CLOEXEC, 10));
    } else {
      // At the same number, which others may be writing to.
      ::dup3(stream.number, stream.original.get(), O_CLOEXEC);
    }
    ::dup2(stream.into.get(), stream.number);
  }
  process_ = ::getpid();
  diverted.store(this, std::memory_order_release);
}

void Redirection::restore() {
  if (diverted.exchange(nullptr) != this) return;
  flush_buffers();
  for (Stream& stream : streams_) {
    if (stream.original) {
      ::dup2(stream.original.get(), stream.number);
    } else {
      ::close(stream.number);
    }
  }
  const std::lock_guard guard(mutex_);
  drain();
}

std::unique_ptr<Printed> Redirection::begin() {
  flush_buffers();
  const std::lock_guard guard(mutex_);
  drain();
  end_lines();
  if (spare_ == nullptr) spare_ = std::make_unique<Printed>(terms_);
  taken_.store(false, std::memory_order_relaxed);
  return std::exchange(printed_, std::move(spare_));
}

void Redirection::end(std::unique_ptr<Printed> waiting) {
  flush_buffers();
  const std::lock_guard guard(mutex_);
  drain();
  end_lines();
  spare_ = std::exchange(printed_, std::move(waiting));
  pass_on(*spare_);
  spare_->clear();
  taken_.store(printed_ != nullptr && !printed_->empty(), std::memory_order_relaxed);
}

// The thread says that it has taken something before it does, so one of the two is seen here.
bool Redirection::any() {
  flush_buffers();
  epoll_event event{};
  return ::epoll_wait(ready_.get(), &event, 1, 0) > 0 || taken_.load(std::memory_order_acquire);
}

Texts Redirection::take() {
  const std::lock_guard guard(mutex_);
  drain();
  end_lines();
  Texts texts{printed_->out.text(), printed_->err.text()};
  printed_->clear();
  taken_.store(false, std::memory_order_relaxed);
  return texts;
}

void Redirection::pump() {
  for (;;) {
    std::array<pollfd, 3> fds{{{streams_[0].from.get(), POLLIN, 0}, {streams_[1].from.get(), POLLIN, 0}, {quit_.get(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return;
    if (fds[2].revents != 0) return;
    const std::lock_guard guard(mutex_);
    drain();
  }
}

// What is there now, so that whoever goes on printing keeps nobody.
void Redirection::drain() {
  if (printed_ != nullptr) taken_.store(true);
  bool any = false;
  for (Stream& stream : streams_) {
    read_ready(stream.from.get(), [&](std::string_view bytes) {
      any = true;
      put(stream, bytes);
    });
  }
  if (!any && printed_ != nullptr && printed_->empty()) taken_.store(false, std::memory_order_relaxed);
}

void Redirection::put(Stream& stream, std::string_view bytes) {
  if (printed_ == nullptr) {
    write_all(stream.original.get(), bytes);
    return;
  }
  of(stream, *printed_).add(bytes);
  if (terms_.shows) stream.lines.add(bytes, stream.original.get());
}

// What came between the end of the last task and now.
void Redirection::pass_on(const Printed& late) {
  if (late.empty()) return;
  for (Stream& stream : streams_) {
    const std::string text = of(stream, late).text();
    if (printed_ != nullptr) {
      of(stream, *printed_).add(text);
    } else if (!terms_.shows) {
      write_all(stream.original.get(), text);
    }
  }
}

void Redirection::end_lines() {
  for (Stream& stream : streams_) stream.lines.end(stream.original.get());
}

int Redirection::destination(int fd) const { return streams_[fd == STDOUT_FILENO ? 0 : 1].original.get(); }

void Redirection::give_back() noexcept {
  // A child that was forked has nothing to give.
  if (process_ != ::getpid()) return;
  Redirection* own = this;
  if (!diverted.compare_exchange_strong(own, nullptr)) return;
  for (const Stream& stream : streams_) ::dup2(stream.original.get(), stream.number);
  // Who has the lock may be the one that has crashed.
  constexpr int patience = 100;
  bool locked = mutex_.try_lock();
  for (int i = 0; i < patience && !locked; ++i) {
    const timespec millisecond{0, 1'000'000};
    ::nanosleep(&millisecond, nullptr);
    locked = mutex_.try_lock();
  }
  if (!locked) return;
  for (Stream& stream : streams_) drop_to_original(stream);
  // The thread passes on what comes now. Nothing is freed here.
  given_back_ = std::move(printed_);
  mutex_.unlock();
}

void Redirection::drop_to_original(Stream& stream) noexcept {
  const int to = stream.original.get();
  if (printed_ != nullptr && !terms_.shows) {
    const Excerpt& before = of(stream, *printed_);
    write_all(to, before.first());
    if (before.left_out() != 0) write_all(to, "\n[some of it is left out here]\n");
    write_all(to, before.last());
  }
  read_ready(stream.from.get(), [to](std::string_view bytes) { write_all(to, bytes); });
}

int destination(int fd) noexcept {
  const Redirection* const here = diverted.load(std::memory_order_acquire);
  return here == nullptr ? fd : here->destination(fd);
}

void say(std::string_view text) noexcept { write_all(destination(STDERR_FILENO), text); }

void give_back() noexcept {
  if (Redirection* const here = diverted.load(std::memory_order_acquire)) here->give_back();
}

}  // namespace rankview::capture
