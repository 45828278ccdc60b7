// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// The whole runtime, for programs that link no library of rankview: include this in exactly one translation unit, and link MPI,
// Boost.MPI and Boost.Serialization. Made from lib/ by lib/embed.sh.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace rankview::capture {

// All of it, whatever interrupts, unless nobody takes it any more. Safe in a signal handler.
void write_all(int fd, std::string_view bytes) noexcept;

// Shows what somebody prints while it comes: whole lines, each behind a prefix that says whose it is. Lines of several processes that write
// to the same pipe stay whole, unless they are very long.
class Lines {
 public:
  explicit Lines(std::string prefix) : prefix_(std::move(prefix)) {}

  void add(std::string_view bytes, int fd);
  // No more comes: also shows what is no whole line.
  void end(int fd);

 private:
  std::string prefix_;
  std::string begun_;  // a line of which the end is missing
};

// As lines of what an engine's tasks print begin; of a stream with that number.
[[nodiscard]] std::string prefix_of(int fd, int engine);

}  // namespace rankview::capture

#include <poll.h>
#include <unistd.h>
#include <cerrno>
#include <climits>
#include <cstddef>

namespace rankview::capture {
namespace {

// Who prints no end of a line for so long has one put there.
constexpr std::size_t longest_line = std::size_t{64} * 1024;

}  // namespace

void write_all(int fd, std::string_view bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd room{fd, POLLOUT, 0};
      ::poll(&room, 1, -1);
    } else if (errno != EINTR) {
      return;
    }
  }
}

void Lines::add(std::string_view bytes, int fd) {
  std::string text;
  const auto put = [&](std::string_view line) {
    if (text.size() + prefix_.size() + line.size() > PIPE_BUF) {
      write_all(fd, text);
      text.clear();
    }
    text.append(prefix_).append(line);
  };
  for (std::size_t end = bytes.find('\n'); end != std::string_view::npos; end = bytes.find('\n')) {
    begun_.append(bytes.substr(0, end + 1));
    bytes.remove_prefix(end + 1);
    put(begun_);
    begun_.clear();
  }
  begun_.append(bytes);
  if (begun_.size() > longest_line) {
    put(begun_.append(1, '\n'));
    begun_.clear();
  }
  write_all(fd, text);
}

void Lines::end(int fd) {
  if (!begun_.empty()) add("\n", fd);
}

std::string prefix_of(int fd, int engine) {
  return std::string(fd == STDOUT_FILENO ? "[stdout:" : "[stderr:") + std::to_string(engine) + "] ";
}

}  // namespace rankview::capture

#include <algorithm>
#include <cstdint>

namespace rankview::capture {

// The first and the last bytes of something that may be long. Takes no more memory than for these and the last ones once more.
class Excerpt {
 public:
  // Of nothing.
  Excerpt() = default;
  // So many bytes of the beginning and of the end.
  Excerpt(std::size_t first, std::size_t last) : most_first_(first), most_last_(last) {}

  void add(std::string_view bytes) {
    total_ += bytes.size();
    const std::size_t room = most_first_ - first_.size();
    first_.append(bytes.substr(0, room));
    bytes.remove_prefix(std::min(room, bytes.size()));
    if (bytes.size() > most_last_) bytes.remove_prefix(bytes.size() - most_last_);
    last_.append(bytes);
    if (last_.size() > 2 * most_last_) last_.erase(0, last_.size() - most_last_);
  }
  void clear() {
    first_.clear();
    last_.clear();
    total_ = 0;
  }

  // Whether nothing was added.
  [[nodiscard]] bool empty() const { return total_ == 0; }
  [[nodiscard]] std::string_view first() const { return first_; }
  [[nodiscard]] std::string_view last() const {
    const std::string_view last = last_;
    return last.substr(last.size() - std::min(last.size(), most_last_));
  }
  // How many bytes that are neither.
  [[nodiscard]] std::uint64_t left_out() const { return total_ - first().size() - last().size(); }

  // Both, and between them how much is left out, if anything is. Of nothing: nothing.
  [[nodiscard]] std::string text() const {
    std::string text(first());
    if (most_first_ + most_last_ == 0) return text;
    if (const std::uint64_t count = left_out(); count != 0) text += "\n[" + std::to_string(count) + " bytes are left out here]\n";
    return text.append(last());
  }

 private:
  std::size_t most_first_ = 0;
  std::size_t most_last_ = 0;
  std::string first_;
  std::string last_;  // may be up to twice as long as it has to be, so that little is moved
  std::uint64_t total_ = 0;
};

}  // namespace rankview::capture

#include <memory>

// What tasks write to stdout and stderr.
namespace rankview::capture {

// What becomes of it.
struct Terms {
  std::size_t most = 0;  // bytes of either stream that are kept of a task, about; 0: nothing is
  bool shows = false;    // its lines are shown while it runs

  [[nodiscard]] bool wanted() const { return most != 0 || shows; }
  // For one stream.
  [[nodiscard]] Excerpt excerpt() const { return most == 0 ? Excerpt() : Excerpt(most - most / 2, most / 2); }
};

// What one task has printed by now.
struct Printed {
  explicit Printed(const Terms& terms) : out(terms.excerpt()), err(terms.excerpt()) {}

  Excerpt out;
  Excerpt err;

  [[nodiscard]] bool empty() const { return out.empty() && err.empty(); }
  void clear() {
    out.clear();
    err.clear();
  }
};

// The same, when it has ended.
struct Texts {
  std::string out{};
  std::string err{};

  [[nodiscard]] bool empty() const { return out.empty() && err.empty(); }
};

// Takes what a process writes to stdout and stderr: what it writes while a task runs is that task's, and the rest goes where it went
// before. For the thread that runs tasks. Interface, since a simulation has several engines in a process, and leaves its own output alone.
class Outputs {
 public:
  Outputs() = default;
  Outputs(const Outputs&) = delete;
  Outputs& operator=(const Outputs&) = delete;
  virtual ~Outputs() = default;

  // From here on it is taken, until restore().
  virtual void divert() = 0;
  virtual void restore() = 0;

  // From here on tasks run, one after the other. Gives what is to be given to end(): what the task has printed that waits for these, null
  // if none does.
  virtual std::unique_ptr<Printed> begin() = 0;
  virtual void end(std::unique_ptr<Printed> waiting) = 0;

  // The task that runs has ended: whether there is anything for take(), after which the next task runs.
  virtual bool any() = 0;
  virtual Texts take() = 0;
};

// While it lives, what is printed is taken; null does nothing.
class Diverted {
 public:
  explicit Diverted(Outputs* outputs) : outputs_(outputs) {
    if (outputs_ != nullptr) outputs_->divert();
  }
  Diverted(const Diverted&) = delete;
  Diverted& operator=(const Diverted&) = delete;
  ~Diverted() {
    if (outputs_ != nullptr) outputs_->restore();
  }

 private:
  Outputs* outputs_;
};

}  // namespace rankview::capture

#include <optional>
#include <span>
#include <vector>

namespace rankview::isolation {

// Owns a file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int number) : number_(number) {}
  Fd(Fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Fd() { reset(); }

  [[nodiscard]] int get() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }
  void reset() {
    if (number_ >= 0) ::close(std::exchange(number_, -1));
  }

 private:
  int number_ = -1;
};

// Two ends that are connected; both are closed in programs that are started from here. Throws std::system_error.
std::pair<Fd, Fd> socket_pair(int type);
std::pair<Fd, Fd> pipe_pair();  // to be read from, and written to

// All of it, whatever interrupts. False if the other end has gone. Never raises SIGPIPE, for which a pipe must not be passed.
bool send_all(int socket, std::span<const std::byte> bytes);
bool receive_all(int socket, std::span<std::byte> bytes);

// One message of fixed size with file descriptors beside it, over a SOCK_SEQPACKET socket.
bool send_message(int socket, const void* message, std::size_t size, std::span<const int> fds);
// How many bytes there were, nothing if the other end has gone.
std::optional<std::size_t> receive_message(int socket, void* message, std::size_t size, std::vector<Fd>& fds);

}  // namespace rankview::isolation

#include <sys/types.h>
#include <array>
#include <atomic>
#include <mutex>
#include <thread>

namespace rankview::capture {

// Has the file descriptors 1 and 2 of this process lead into pipes: whatever writes to them, C++ streams, printf, threads, the processes
// that a task starts. A thread reads these, so that nobody waits for room who prints much. One to a process.
class Redirection final : public Outputs {
 public:
  // `engine`: its number. Throws std::system_error.
  Redirection(const Terms& terms, int engine);
  ~Redirection() override;

  void divert() override;
  void restore() override;
  std::unique_ptr<Printed> begin() override;
  void end(std::unique_ptr<Printed> waiting) override;
  bool any() override;
  Texts take() override;

  // Where what is written to that descriptor goes in the end.
  [[nodiscard]] int destination(int fd) const;
  // See below.
  void give_back() noexcept;

 private:
  struct Stream {
    Stream(int number, int engine);

    int number;          // the descriptor
    isolation::Fd from;  // the pipe's ends
    isolation::Fd into;
    isolation::Fd original;  // where it leads without this
    Lines lines;
  };

  // What was printed there.
  template <class SomePrinted>
  static auto& of(const Stream& stream, SomePrinted& printed) {
    return stream.number == STDOUT_FILENO ? printed.out : printed.err;
  }
  void pump();
  void drain();
  void put(Stream& stream, std::string_view bytes);
  void pass_on(const Printed& late);
  void end_lines();
  void drop_to_original(Stream& stream) noexcept;

  const Terms terms_;
  std::array<Stream, 2> streams_;
  isolation::Fd ready_;  // whether there is anything in the pipes
  isolation::Fd quit_;
  pid_t process_ = 0;                 // that is diverted
  std::atomic<bool> taken_{false};    // of the running task, by the thread too
  std::mutex mutex_;                  // guards what follows, and the reading ends
  std::unique_ptr<Printed> printed_;  // by the task that runs, null where none does
  std::unique_ptr<Printed> spare_;
  std::thread thread_;
};

// Where what this process writes to that descriptor goes in the end. From any thread.
[[nodiscard]] int destination(int fd) noexcept;
// Says something on stderr that is no task's.
void say(std::string_view text) noexcept;
// The process is about to end: what it says from here on goes where it would without any of this, and so does what a task has printed that
// nobody else will see. Safe in a signal handler.
void give_back() noexcept;

}  // namespace rankview::capture

#include <csignal>

namespace rankview::liveness {

// A thread that gets no signals that are for the program.
template <class F>
std::thread quiet_thread(F body) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  for (const int crash : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) sigdelset(&all, crash);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread(std::move(body));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace rankview::liveness

namespace rankview::transport {

// Ends this process at once, without MPI_Finalize, which makes mpirun end the job. For when going on would hang. There is no other way out
// of the process in this library.
[[noreturn]] void end_process(int code, const std::string& why);

// What a simulation does instead, where several processes are in one. Must not return.
using WayOut = void (*)(int code, const std::string& why);
void set_way_out(WayOut way_out);

// What end_process() is to do before it says why.
void set_before_end(void (*act)());

}  // namespace rankview::transport

#include <fcntl.h>
#include <stdio_ext.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <system_error>
#include <tuple>

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
  static_cast<void>(printed_.release());
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

#include <chrono>

namespace rankview::checkpoint {

// A file that is read anywhere and written at its end.
class File {
 public:
  File() = default;
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  virtual ~File() = default;

  [[nodiscard]] virtual std::uint64_t size() = 0;
  // Reads what there is from an offset on, at most as much as fits. Gives how much that was.
  virtual std::size_t read(std::uint64_t offset, std::span<std::byte> into) = 0;
  // May have written a part when it throws.
  virtual void append(std::span<const std::byte> bytes) = 0;
  // What was appended survives from here on, whatever happens to the machine. After it has thrown nobody knows.
  virtual void sync() = 0;
};

// That a file is in use, until this goes, or the process.
class Hold {
 public:
  Hold() = default;
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;
  virtual ~Hold() = default;
};

// Files in directories. All of it throws std::system_error that names the file and what was tried.
class Disk {
 public:
  Disk() = default;
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;
  virtual ~Disk() = default;

  // Makes the directory, and those above it, if it is not there. Refuses one that others than this user may write to.
  virtual void make_directory(const std::string& path) = 0;
  // The same of one that has to be there.
  virtual void check_directory(const std::string& path) = 0;
  // The names in it, sorted.
  virtual std::vector<std::string> list(const std::string& directory) = 0;
  // A new file, to be appended to; fails if there is one.
  virtual std::unique_ptr<File> create(const std::string& path) = 0;
  // One that is there, to be read. Refuses what is no file of this user's.
  virtual std::unique_ptr<File> open(const std::string& path) = 0;
  // Names in the directory survive from here on.
  virtual void sync_directory(const std::string& path) = 0;
  virtual void remove(const std::string& path) = 0;
  // In one step, also where a file of that name is there already.
  virtual void rename(const std::string& from, const std::string& to) = 0;
  // Holds a file, which is made if it is not there, alone or together with others who do not want it alone. Null if it is held otherwise.
  virtual std::unique_ptr<Hold> hold(const std::string& path, bool alone) = 0;
  // Whether somebody holds it, by this name or another: false where nobody does, and only then.
  virtual bool is_held(const std::string& path) = 0;

  // Makes `to` another name of the file `from`, in one step; false if there is a file of that name that is another.
  virtual bool link(const std::string& from, const std::string& to) = 0;
  // Notes that the file is used, and gives when that was by the clock of whoever keeps the files.
  virtual std::chrono::nanoseconds touch(const std::string& path) = 0;
  // When it was touched, by that clock; nothing if it is not there.
  virtual std::optional<std::chrono::nanoseconds> touched(const std::string& path) = 0;
};

// The one that the operating system has.
[[nodiscard]] Disk& posix_disk();

}  // namespace rankview::checkpoint

namespace rankview::checkpoint {

// Names a piece of work: what is called, with which arguments, in which version. The same in every run, build and order.
struct Key {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  friend auto operator<=>(const Key&, const Key&) = default;
};

// XXH3 (Collet, github.com/Cyan4973/xxHash) of some bytes, with what has gone before as seed. Both throw UsageError where rankview was
// compiled without <xxhash.h>.
[[nodiscard]] Key key_of(std::span<const std::byte> bytes, std::uint64_t seed);
[[nodiscard]] std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t seed = 0);

}  // namespace rankview::checkpoint

#include <rankview/detail/buffer.hpp>

#include <functional>

// How a journal lies on disk: frames behind each other, each beginning at a multiple of eight bytes with a marker, a kind, a length and a
// checksum. Whoever reads one goes on at the next marker after a frame that is damaged, and can do so after any byte that is missing.
namespace rankview::checkpoint {

using Bytes = std::span<const std::byte>;

inline constexpr std::uint32_t format_version = 1;

enum class FrameKind : std::uint32_t {
  begin = 1,     // of a journal: its format, and who writes it
  function = 2,  // what is called, by a number of this journal's
  results = 3,   // of one function, several
  failure = 4,   // of one item
};

// Who writes a journal.
struct Origin {
  std::uint32_t format = format_version;
  std::string host;
  std::uint64_t process = 0;
  std::int64_t began = 0;  // nanoseconds since the epoch
  std::string program;
};

// What is called, and what it gives.
struct Callable {
  std::string name;  // as the compiler has it, which no other has
  std::string version;
  std::string result;  // the type
  std::string shown;   // the name as it is written

  friend auto operator<=>(const Callable&, const Callable&) = default;
};

// ---- writing ----

// Adds a frame that is whole.
void write(detail::Buffer& to, const Origin& origin);
void write(detail::Buffer& to, std::uint32_t number, const Callable& callable);
// `age`: when it was finished, in seconds since the journal's beginning.
void write_failure(detail::Buffer& to, std::uint32_t callable, const Key& key, std::string_view why, std::uint32_t age);

// Adds frames of results, several to each.
class ResultFrames {
 public:
  // Adds one, and gives how far from the beginning of `to` its entry lies; see read_entry().
  std::size_t add(detail::Buffer& to, std::uint32_t callable, const Key& key, Bytes value);
  // Closes the frame that is open, whose checksum is not known before.
  void close(detail::Buffer& to);
  [[nodiscard]] bool open() const { return begin_ != none; }
  // When those in the open frame, and in those to come, were finished, in seconds since the journal's beginning.
  void set_age(std::uint32_t age) { age_ = age; }
  [[nodiscard]] std::uint32_t age() const { return age_; }

 private:
  static constexpr std::size_t none = static_cast<std::size_t>(-1);
  std::size_t begin_ = none;  // of the open frame, in the buffer
  std::uint32_t callable_ = 0;
  std::uint32_t count_ = 0;
  std::uint32_t age_ = 0;
};

// ---- reading ----

// What has been finished, as a journal has it.
struct Finished {
  std::uint32_t callable = 0;
  Key key;
  std::uint64_t entry = 0;  // where read_entry() finds it
  std::uint64_t size = 0;   // of the value, or of the text of the failure
  bool failed = false;
  std::uint32_t age = 0;  // in seconds since the journal's beginning, within one
};

// What is found in a journal, in the order in which it lies there. Throws what its functions throw.
struct Reading {
  std::function<void(const Origin&)> origin;
  std::function<void(std::uint32_t number, Callable&&)> callable;
  std::function<void(const Finished&)> finished;
};

// What a journal has besides.
struct Damage {
  std::uint64_t bytes = 0;  // that cannot be read
  std::uint64_t first = 0;  // where the first of them are
  bool cut = false;         // the last frame is not whole, since whoever wrote it was stopped
  std::uint64_t later = 0;  // frames of kinds that only a later version knows
};

// Reads from `begin` on, which is where a frame begins; gives where the next would begin. A frame that is not whole at the end of the file
// may be being written, and is read the next time.
std::uint64_t read_frames(File& file, std::uint64_t begin, const Reading& reading, Damage& damage);

// The size of an entry's beginning, and what is behind it.
inline constexpr std::size_t entry_head = sizeof(Key) + sizeof(std::uint64_t);
// In a frame of write_failure(), where it is.
inline constexpr std::size_t failure_entry = 40;
struct Entry {
  Key key;
  std::uint64_t size = 0;  // of the value, or the text of the failure
};
Entry read_entry(std::span<const std::byte, entry_head> bytes);

}  // namespace rankview::checkpoint

namespace rankview::checkpoint {

// Where the entry of a key lies.
struct Place {
  static constexpr std::uint64_t offset_bits = 48;
  static constexpr std::uint64_t journal_bits = 15;

  std::uint32_t journal = 0;
  std::uint64_t offset = 0;
  bool failed = false;  // it is a failure's
};

// Finds places by keys, of which it keeps a half: whoever is given a place looks at the entry there for the rest. 16 bytes a key, and as
// much again at most for room (open addressing with linear probing; Knuth, TAOCP 3, 6.4). In sixteen tables, of which one is copied at a
// time when it grows.
class Index {
 public:
  // A key whose half is there already stays where it was, unless that has failed and this has not.
  void add(const Key& key, const Place& place) {
    Table& table = tables_[table_of(key)];
    if ((table.count + 1) * 4 > table.slots.size() * 3) grow(table.slots);
    Slot& slot = table.slots[slot_of(table.slots, key.low)];
    if (slot.place == 0) {
      slot.low = key.low;
      ++table.count;
    } else if (!unpacked(slot.place).failed || place.failed) {
      return;
    }
    slot.place = packed(place);
  }
  // Has what is known of the key lie elsewhere, if that is of the same kind.
  void move(const Key& key, const Place& place) {
    Slots& slots = tables_[table_of(key)].slots;
    if (slots.empty()) return;
    Slot& slot = slots[slot_of(slots, key.low)];
    if (slot.place != 0 && unpacked(slot.place).failed == place.failed) slot.place = packed(place);
  }
  // Where it may lie. False if it is not there.
  bool find(const Key& key, Place& place) const {
    const Slots& slots = tables_[table_of(key)].slots;
    if (slots.empty()) return false;
    const Slot& slot = slots[slot_of(slots, key.low)];
    if (slot.place == 0) return false;
    place = unpacked(slot.place);
    return true;
  }

  [[nodiscard]] std::size_t size() const {
    std::size_t sum = 0;
    for (const Table& table : tables_) sum += table.count;
    return sum;
  }

 private:
  struct Slot {
    std::uint64_t low = 0;
    std::uint64_t place = 0;  // no entry lies at the beginning of a journal
  };
  using Slots = std::vector<Slot>;
  struct Table {
    Slots slots;  // a power of two of them, or none
    std::size_t count = 0;
  };

  static std::size_t table_of(const Key& key) { return key.low >> 60U; }
  static std::uint64_t packed(const Place& place) {
    return std::uint64_t{place.failed ? 1U : 0U} << 63 | std::uint64_t{place.journal} << Place::offset_bits | place.offset;
  }
  static Place unpacked(std::uint64_t place) {
    return {static_cast<std::uint32_t>(place >> Place::offset_bits & ((1U << Place::journal_bits) - 1)),
            place & ((std::uint64_t{1} << Place::offset_bits) - 1), place >> 63 != 0};
  }
  // The slot of a key, or the free one that it would get. Keys are hashes already.
  static std::size_t slot_of(const Slots& slots, std::uint64_t low) {
    const std::size_t mask = slots.size() - 1;
    std::size_t at = static_cast<std::size_t>(low) & mask;
    while (slots[at].place != 0 && slots[at].low != low) at = (at + 1) & mask;
    return at;
  }
  static void grow(Slots& slots) {
    Slots larger(slots.empty() ? 64 : slots.size() * 2);
    for (const Slot& slot : slots) {
      if (slot.place != 0) larger[slot_of(larger, slot.low)] = slot;
    }
    slots = std::move(larger);
  }

  std::array<Table, 16> tables_;  // by the highest bits
};

}  // namespace rankview::checkpoint

#include <map>

namespace rankview::checkpoint {

inline constexpr std::string_view journal_ending = ".journal";
// Whoever uses a directory holds this file in it, and who rewrites journals holds it alone.
inline constexpr std::string_view used_name = "in-use";

// A journal that a later version has written.
struct OfLaterVersion {
  std::uint32_t format;
};

// How far a journal was read.
struct ReadSoFar {
  std::uint64_t end = 0;
  std::vector<bool> known;  // callables, by their numbers there
  std::uint64_t results = 0;
  std::uint64_t failures = 0;
  std::uint64_t nameless = 0;  // of both, whose callable is not known
};

// What the journals of a directory hold.
struct Contents {
  Index index;
  std::map<std::pair<std::string, std::string>, std::string> result_types;  // by name and version of what is called

  // Adds what is in a journal beyond what was read of it. Throws OfLaterVersion, and what reading it throws; then it has been read so far.
  void read(File& file, std::uint32_t journal, ReadSoFar& so_far, Damage& damage);
};

}  // namespace rankview::checkpoint

#include <deque>

namespace rankview::checkpoint {

// The journals of a directory by number, and their bytes by place. Not thread-safe.
class Journals {
 public:
  struct Journal {
    std::string name;
    std::unique_ptr<File> file;  // of ours, once there is anything in it
    ReadSoFar read;              // of others'
    bool grows = true;           // as far as is known, since its job is there
  };

  Journals(Disk& disk, std::string directory) : disk_(disk), directory_(std::move(directory)) {}

  [[nodiscard]] std::string path(const std::string& name) const { return directory_ + "/" + name; }
  [[nodiscard]] std::size_t size() const { return all_.size(); }
  Journal& operator[](std::size_t number) { return all_[number]; }
  // Whether there can be no further one.
  [[nodiscard]] bool full() const { return all_.size() >> Place::journal_bits != 0; }
  // Gives its number.
  std::uint32_t add(std::string name, bool grows);
  // The one that was added last is not needed.
  void remove_last() { all_.pop_back(); }
  [[nodiscard]] auto begin() const { return all_.begin(); }
  [[nodiscard]] auto end() const { return all_.end(); }

  // What is on disk from a place on; gives how much of that there is. Throws std::system_error.
  std::size_t read(const Place& place, std::span<std::byte> into);
  // What was read may have changed.
  void forget();

 private:
  File& opened(std::uint32_t journal);

  Disk& disk_;
  const std::string directory_;
  std::vector<Journal> all_;
  std::deque<std::pair<std::uint32_t, std::unique_ptr<File>>> reading_;  // of others' the latest, by number
  std::vector<std::byte> cache_;                                         // what lies at cached_
  Place cached_;
};

}  // namespace rankview::checkpoint

namespace rankview::checkpoint {

// The bytes of the journal that this job writes: what is on disk is followed by what is being written, and that by what was added since.
// Not thread-safe, but that nobody changes what is being written.
class OwnJournal {
 public:
  // Whether there is one, and its number among all.
  [[nodiscard]] bool begun() const { return number_ != none; }
  [[nodiscard]] std::uint32_t number() const { return number_; }
  // How many there have been, for their names.
  [[nodiscard]] std::uint64_t count() const { return count_; }
  // One of that number from here on, of which nothing is on disk.
  void begin(std::uint32_t number, const Origin& origin, const std::vector<Callable>& callables);

  void add(std::uint32_t number, const Callable& callable);
  // Give where the entry lies.
  Place add(std::uint32_t callable, const Key& key, Bytes value);
  Place add_failure(std::uint32_t callable, const Key& key, std::string_view why);
  // When what is added from here on was finished, in seconds since the journal's beginning.
  void set_age(std::uint32_t age) { frames_.set_age(age); }

  [[nodiscard]] bool on_disk(const Place& place) const { return place.journal != number_ || place.offset < written_; }
  // Whether any of it is.
  [[nodiscard]] bool any_on_disk() const { return written_ != 0; }
  [[nodiscard]] std::size_t unwritten() const { return writing_.size() + tail_.size(); }
  // What is not on disk, from a place on; gives how much of that there is.
  std::size_t read(const Place& place, std::span<std::byte> into) const;

  // What was added is to be written.
  void begin_writing();
  [[nodiscard]] Bytes writing() const { return writing_.bytes(); }
  // It is on disk.
  void end_writing();
  // It may be, or not: all that is not known to be is taken out of this journal, to be added to another.
  detail::Buffer give_up();
  // Adds what was given up; `moved` is told the place of each.
  void add_again(const detail::Buffer& given_up, const std::function<void(const Key&, const Place&)>& moved);

 private:
  static constexpr std::uint32_t none = static_cast<std::uint32_t>(-1);

  std::uint32_t number_ = none;
  std::uint64_t count_ = 0;
  std::uint64_t written_ = 0;
  detail::Buffer writing_;
  detail::Buffer tail_;
  ResultFrames frames_;  // of the tail
};

}  // namespace rankview::checkpoint

namespace rankview::transport {

// How to wait for something that only looking will show: spin for a while, then sleep for a sixteenth of the time waited so far, at most
// `sleep`. So the delay that sleeping adds stays in proportion, and a long wait costs little CPU.
struct IdleLimits {
  std::chrono::nanoseconds spin{50'000};
  std::chrono::nanoseconds sleep{1'000'000};
};

// How long one waiter spins. Two that wait for each other's answers and have both begun to sleep would stay so, each being late because the
// other was. What their waits take then is a few hundred microseconds, some of which the system adds to every sleep. So after a wait that
// ended by then the next may spin for four times as long, up to that; after one that took longer, for half as long.
class SpinTime {
 public:
  explicit SpinTime(const IdleLimits& limits) : limits_(limits), spin_(limits.spin) {}

  [[nodiscard]] const IdleLimits& limits() const { return limits_; }
  [[nodiscard]] std::chrono::nanoseconds get() const { return spin_; }

  // A wait that came to sleeping has ended.
  void learn(std::chrono::nanoseconds waited) {
    const auto longest = 16 * limits_.spin;
    spin_ = waited < longest ? std::min<std::chrono::nanoseconds>(4 * spin_, longest)
                             : std::max<std::chrono::nanoseconds>(spin_ / 2, limits_.spin);
  }

 private:
  IdleLimits limits_;
  std::chrono::nanoseconds spin_;
};

// Sleeps for as long as it says: to the microsecond, where the system would otherwise add some fifty to be able to wake several sleepers at
// once.
void nap(std::chrono::nanoseconds pause);

// One wait.
template <class Clock>
class IdleBy {
 public:
  using clock = Clock;

  explicit IdleBy(SpinTime& spin) : spin_(spin) {}

  // Something happened: the next wait begins.
  void reset() {
    if (slept_) spin_.learn(clock::now() - since_);
    slept_ = false;
    looks_ = 0;
  }

  // How long to sleep before the next look: zero while spinning, which with a limit of zero is one look.
  std::chrono::nanoseconds pause() {
    // Reading the clock costs about as much as a look; what comes soon should not wait for it.
    const unsigned per_reading = spin_.get().count() != 0 ? looks_per_reading : 1;
    if (!slept_ && ++looks_ % per_reading != 0) return {};
    const auto now = clock::now();
    if (looks_ == per_reading && !slept_) {
      since_ = now;
      return {};
    }
    const auto waited = now - since_;
    if (waited < spin_.get()) return {};
    slept_ = true;
    return std::clamp<std::chrono::nanoseconds>(waited / 16, shortest, std::max(shortest, spin_.limits().sleep));
  }

 private:
  static constexpr unsigned looks_per_reading = 16;
  static constexpr std::chrono::nanoseconds shortest{1'000};

  SpinTime& spin_;
  unsigned looks_ = 0;
  bool slept_ = false;
  typename clock::time_point since_;
};
using Idle = IdleBy<std::chrono::steady_clock>;

}  // namespace rankview::transport

#include <condition_variable>

namespace rankview::transport {

// Where a clock of a simulated run gets its time from; such a run has threads of its own, too.
class TimeSource {
 public:
  [[nodiscard]] virtual std::int64_t now() const = 0;
  // Passes time until a message arrives, or so much of it.
  virtual void nap(std::chrono::nanoseconds pause) = 0;
  // Passes time, whatever arrives.
  virtual void sleep(std::chrono::nanoseconds time) = 0;
  // Has `body` go on by itself; gives its number.
  virtual std::size_t start(std::function<void()> body) = 0;
  // Passes time until that has ended.
  virtual void join(std::size_t thread) = 0;

 protected:
  ~TimeSource() = default;
};

// Nanoseconds since the epoch by a clock that runs evenly: the wall clock at one moment, and the steady clock since. Processes of one host
// that share an anchor agree to the nanosecond; hosts agree as well as their wall clocks did at the start.
//
// What waits, waits by its clock, so that a simulated run decides what comes of it. There a wait for others is a look now and then.
class Clock {
 public:
  Clock() : anchor_(wall() - steady()) {}
  explicit Clock(std::int64_t anchor) : anchor_(anchor) {}
  // A simulated one.
  explicit Clock(TimeSource& source) : anchor_(0), source_(&source) {}

  [[nodiscard]] std::int64_t now() const { return source_ == nullptr ? anchor_ + steady() : source_->now(); }
  // What a deadline is compared with.
  [[nodiscard]] std::chrono::steady_clock::time_point steady_now() const {
    return source_ == nullptr ? std::chrono::steady_clock::now()
                              : std::chrono::steady_clock::time_point(std::chrono::nanoseconds(source_->now()));
  }
  [[nodiscard]] std::int64_t anchor() const { return anchor_; }
  [[nodiscard]] TimeSource* source() const { return source_; }
  [[nodiscard]] bool simulated() const { return source_ != nullptr; }

  // Sleeps for so long, to the microsecond.
  void nap(std::chrono::nanoseconds pause) const { source_ == nullptr ? transport::nap(pause) : source_->nap(pause); }
  // Sleeps for so long, and what the system adds to that.
  void sleep(std::chrono::nanoseconds time) const { source_ == nullptr ? std::this_thread::sleep_for(time) : source_->sleep(time); }
  // Between two looks of who waits and does not sleep: nothing, but in a simulated run others go on.
  void spin() const {
    if (source_ != nullptr) source_->nap({});
  }
  // Waits for as long as the value is `old`.
  template <class T>
  void wait(const std::atomic<T>& value, T old) const {
    if (source_ == nullptr) {
      value.wait(old);
      return;
    }
    while (value.load() == old) source_->sleep(look_after);
  }
  // Waits for `ready`, which is asked under the lock, and at most for so long. Whether it is.
  template <class Ready>
  bool wait_for(std::condition_variable& changed, std::unique_lock<std::mutex>& lock, std::chrono::nanoseconds time, Ready ready) const {
    if (source_ == nullptr) return changed.wait_for(lock, time, ready);
    const std::int64_t end = source_->now() + time.count();
    while (!ready()) {
      const std::chrono::nanoseconds left(end - source_->now());
      if (left.count() <= 0) return false;
      lock.unlock();
      source_->sleep(std::min<std::chrono::nanoseconds>(left, look_after));
      lock.lock();
    }
    return true;
  }

 private:
  static constexpr std::chrono::milliseconds look_after{1};

  static std::int64_t steady() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
  }
  static std::int64_t wall() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  }

  std::int64_t anchor_;
  TimeSource* source_ = nullptr;
};

// The clock of deadlines that are made where nobody has one: the system's, or that of the simulated run.
std::chrono::steady_clock::time_point steady_now();
// From here on there is a simulated run, or, where null, none any more.
void set_time_source(TimeSource* source);

// A thread of the library's: one of the system's, or of a simulated run.
class Thread {
 public:
  Thread() = default;
  Thread(const Clock& clock, std::function<void()> body) : source_(clock.source()) {
    if (source_ == nullptr) {
      thread_ = std::thread(std::move(body));
    } else {
      number_ = source_->start(std::move(body));
    }
  }
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
  Thread(Thread&& other) noexcept
      : thread_(std::move(other.thread_)), source_(std::exchange(other.source_, nullptr)), number_(other.number_) {}
  Thread& operator=(Thread&& other) noexcept {
    thread_ = std::move(other.thread_);
    source_ = std::exchange(other.source_, nullptr);
    number_ = other.number_;
    return *this;
  }
  ~Thread() = default;

  [[nodiscard]] bool joinable() const { return thread_.joinable() || source_ != nullptr; }
  // Whether the caller is this one.
  [[nodiscard]] bool is_this() const { return thread_.get_id() == std::this_thread::get_id(); }
  void join() {
    if (source_ == nullptr) {
      thread_.join();
    } else {
      std::exchange(source_, nullptr)->join(number_);
    }
  }

 private:
  std::thread thread_;
  TimeSource* source_ = nullptr;
  std::size_t number_ = 0;
};

}  // namespace rankview::transport

#include <set>

namespace rankview::checkpoint {

inline constexpr std::string_view job_beginning = "job-";
inline constexpr std::string_view lease_beginning = "lease-";

// How the jobs that use a directory split its work: keys fall into buckets, and each bucket is leased by one job at a time. Who is alone
// has all of them by one lease, until it sees another job.
//
// A job has a file of its own, in which its name stands; it holds that, and touches it now and then. A lease is another name of that file,
// a hard link, which is made or not in one step, on network file systems, too; so it is renewed with the file. It is stale when the job has
// not touched that for a while, by the time of the file server, or, which is known sooner on the same host, does not hold it any more. A
// stale lease is taken over under a name with a higher number, so that of several who try one has it. A job that was stopped for long, and
// goes on, sees that it has lost what it had. Whatever goes wrong, work may be done twice; no result is wrong.
//
// For one thread at a time.
class Leases {
 public:
  static constexpr std::uint32_t buckets = 256;
  [[nodiscard]] static std::uint32_t bucket_of(const Key& key) { return static_cast<std::uint32_t>(key.high % buckets); }

  enum class Mode {
    waiting,  // another job has all of it, and does not know of this one yet, or has died
    alone,    // all is this job's
    asked,    // likewise, and another job is there: it is to say what it has begun, by share()
    sharing,  // what it holds is its own
    off,      // there are no leases here: all is everybody's
  };

  // `stale`: after so long without a sign of its holder a lease is nobody's. `clock`: by which it waits, not what leases are judged by.
  Leases(Disk& disk, std::string directory, const std::string& job, std::chrono::nanoseconds stale, const transport::Clock& clock = {});
  Leases(const Leases&) = delete;
  Leases& operator=(const Leases&) = delete;
  // Gives back what it holds.
  ~Leases();

  // What a look at the directory has changed.
  struct Changes {
    std::vector<std::uint32_t> gained;
    std::vector<std::uint32_t> lost;
  };
  // Renews what is held, and sees what has become of others. Throws nothing: what the disk refuses is the end of leases here.
  Changes look();
  // Tries to get some of these, in that order, until it has `most` of them. While sharing.
  Changes get(const std::vector<std::uint32_t>& wanted, std::size_t most);
  // When asked to: keeps these, and gives others back.
  Changes share(const std::vector<std::uint32_t>& begun);
  void give_back(std::uint32_t bucket);

  [[nodiscard]] Mode mode() const { return mode_; }
  [[nodiscard]] bool holds(std::uint32_t bucket) const { return held_.contains(bucket); }
  [[nodiscard]] const std::string& trouble() const { return trouble_; }

 private:
  // Of each lease, by what it is of, the numbers that there are.
  using Listed = std::map<std::uint32_t, std::set<std::uint64_t>>;
  struct Seen {
    Listed leases;
    std::vector<std::string> jobs;  // other than this
  };

  void hold(const transport::Clock& clock);
  [[nodiscard]] Seen list() const;
  [[nodiscard]] bool is_fresh(const std::string& name) const;
  [[nodiscard]] bool is_of_this_host(const std::string& name) const;
  // The highest lease of that, if it is another's and fresh.
  [[nodiscard]] bool is_others(const Seen& seen, std::uint32_t of) const;
  [[nodiscard]] bool any_bucket_of_others(const Seen& seen) const;
  bool take(const Seen& seen, std::uint32_t of);
  void drop(std::uint32_t of);
  void find_place(const Seen& seen);
  void note_lost(const Seen& seen, Changes& changes);
  void switch_off(const std::string& why);
  [[nodiscard]] static std::string lease_name(std::uint32_t of, std::uint64_t number);
  [[nodiscard]] std::string path(const std::string& name) const { return directory_ + "/" + name; }

  static constexpr std::size_t most_of_name = 512;
  static constexpr std::uint32_t all = buckets;  // the lease of everything

  Disk& disk_;
  const std::string directory_;
  const std::string job_;  // the name of its file
  const std::chrono::nanoseconds stale_;
  std::unique_ptr<Hold> hold_;       // of its file, by which others know that it lives
  std::chrono::nanoseconds now_{0};  // by the file server, when the file was touched last
  Mode mode_ = Mode::waiting;
  std::map<std::uint32_t, std::uint64_t> held_;  // the number of each lease
  std::string trouble_;
};

}  // namespace rankview::checkpoint

namespace rankview::checkpoint {

// Leases of a directory, in a thread of its own: renews them, gets those that are wanted, and tells what has changed. Thread-safe.
class Sharing {
 public:
  struct Settings {
    std::string job;                          // its name among others
    std::chrono::milliseconds look{1000};     // how often to look at the directory
    std::chrono::milliseconds stale{30'000};  // see Leases
    transport::Clock clock;                   // by which it waits
    // Reads what others have finished; called before a bucket that was another's counts as gained.
    std::function<void()> read_on;
    // Has what was finished here put on disk; called before a bucket is given back.
    std::function<void()> flush;
    std::function<void(const std::string&)> warn;
    // Called after a look where there is news that nobody has asked for yet, and as long as the work is split, so that others who wait for
    // this job get what it does not need, whatever its client does.
    std::function<void()> attend;
  };

  Sharing(Disk& disk, const std::string& directory, Settings settings);
  Sharing(const Sharing&) = delete;
  Sharing& operator=(const Sharing&) = delete;
  ~Sharing();

  struct News {
    bool splits = false;   // what is not held here waits
    bool asked = false;    // share() is waited for
    bool answered = true;  // nothing is wanted any more
    std::vector<std::uint32_t> gained;
    std::vector<std::uint32_t> lost;
  };
  [[nodiscard]] bool any_news() const { return any_news_.load(std::memory_order_acquire); }
  // Whether what is not held here waits, as of now; what is news remains so.
  [[nodiscard]] bool splits() const;
  // What has changed since it was asked before.
  News take_news();

  // Gets some of these, in that order, until it has `most`; tries until it has one. Replaces what was wanted before.
  void want(std::vector<std::uint32_t> order, std::size_t most);
  // What has begun, when asked; otherwise, what has begun of what may be another's: it is this job's if it is nobody's.
  void share(std::vector<std::uint32_t> begun);
  void give_back(std::vector<std::uint32_t> buckets);
  // From here on nothing changes, and nothing is renewed.
  void stop();
  // Likewise, and others may have what was this job's at once.
  void leave();

 private:
  void run();
  void step(std::unique_lock<std::mutex>& guard, bool looks);
  void note_changes(const Leases::Changes& changes);
  [[nodiscard]] static bool splits(Leases::Mode mode) { return mode == Leases::Mode::waiting || mode == Leases::Mode::sharing; }

  const Settings settings_;
  std::optional<Leases> leases_;  // the thread's

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool quitting_ = false;
  bool kicked_ = false;
  std::vector<std::uint32_t> wanted_;
  std::size_t most_ = 0;
  std::vector<std::uint32_t> begun_;
  bool says_begun_ = false;
  std::vector<std::uint32_t> given_back_;
  News news_;
  std::atomic<bool> any_news_{false};
  transport::Thread thread_;
};

}  // namespace rankview::checkpoint

namespace rankview::checkpoint {

// What was found of a key: a value, or why the item failed.
enum class Found { nothing, result, failure };

// A directory of journals: what has been finished, by whichever job. Each job appends to one of its own, and reads all. Thread-safe.
//
// What is added is written and synced by a thread of its own, in groups: within half a second, or at once where somebody waits for it. A
// disk that takes no more costs a warning; what it did not take goes into a new journal when it does again.
class Checkpoint {
 public:
  static constexpr std::uint64_t not_added = 0;

  struct Settings {
    Origin origin;                                 // who writes
    std::chrono::milliseconds delay{300};          // from adding to writing
    std::chrono::milliseconds retry{1000};         // after a failure
    std::chrono::milliseconds patience{60'000};    // while somebody rewrites the journals
    std::size_t most_unwritten = 256U << 20U;      // bytes; beyond that results are not kept
    std::function<void(const std::string&)> warn;  // is told a line; from any thread
    transport::Clock clock;                        // by which it waits
    // Whether to split the work with other jobs that use it, and how long one of them may be silent; zero: not at all.
    std::chrono::milliseconds lease{0};
    std::function<void()> attend;  // see Sharing::Settings
    // What is noted of results, since the epoch.
    std::function<std::chrono::nanoseconds()> now = [] { return std::chrono::system_clock::now().time_since_epoch(); };
  };

  // Reads what there is. Throws std::system_error, or UsageError for a directory that is not to be trusted.
  Checkpoint(Disk& disk, std::string directory, Settings settings);
  Checkpoint(const Checkpoint&) = delete;
  Checkpoint& operator=(const Checkpoint&) = delete;
  // Writes what is left.
  ~Checkpoint();

  // A number for what is called, here. Throws UsageError if results of that name and version are there that are of another type; `what`
  // says of what.
  std::uint32_t enlist(const Callable& callable, const std::string& what);
  std::uint32_t enlist(const Callable& callable) { return enlist(callable, callable.shown); }
  // Adds the value, or the text of the failure, to `into`. `on_disk`: finds only what is on disk, and waits for it to come there.
  Found find(const Key& key, detail::Buffer& into, bool on_disk = false);
  // Adds what has been finished, and gives the number of the addition, or not_added if there is no room, since the disk takes nothing.
  std::uint64_t add(std::uint32_t callable, const Key& key, Bytes value);
  std::uint64_t add_failure(std::uint32_t callable, const Key& key, std::string_view why);
  // The latest addition that is on disk, with all before it.
  [[nodiscard]] std::uint64_t durable() const { return progress_.durable.load(std::memory_order_acquire); }
  // From here on nothing that was added waits for company.
  void hurry();
  // Waits until all that was added by now is on disk; false if the disk does not take it, or not within the limit.
  bool flush(std::optional<std::chrono::milliseconds> limit = std::nullopt);
  // Whether the disk does not take what is added.
  [[nodiscard]] bool troubled() const { return progress_.troubled.load(std::memory_order_acquire); }
  // Why the disk does not take what is added, or nothing.
  [[nodiscard]] std::string trouble() const;
  // Versions under which results of a name are there.
  [[nodiscard]] std::vector<std::string> versions(const std::string& name) const;

  // Finds from here on what other jobs have put on disk meanwhile.
  void read_on();
  // How the work is split with other jobs; null if it is not.
  [[nodiscard]] Sharing* sharing() const { return sharing_.get(); }

  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] std::size_t size() const;

 private:
  // How far the thread that writes has come, and what it is to do.
  struct Progress {
    std::uint64_t additions = 0;
    std::uint64_t dropped = 0;  // which there was no room for
    std::uint64_t rounds = 0;   // of writing, whatever came of it
    bool hurried = false;       // nothing is to wait for company
    int flushes = 0;            // that are waited for
    bool quitting = false;
    std::string trouble;
    std::atomic<std::uint64_t> durable{0};
    std::atomic<bool> troubled{false};
  };

  void begin_use();
  void read_all();
  void read_new(const std::string& name);
  void read(const std::string& name);
  void read_on(std::size_t number);
  [[nodiscard]] std::string job_name() const;
  void tell_damage(const std::string& name, const Damage& damage) const;
  [[nodiscard]] bool is_on_disk(const Key& key) const;
  bool read_entry_at(Place place, const Key& key, detail::Buffer& into);
  std::size_t read_at(const Place& place, std::span<std::byte> into);
  [[nodiscard]] bool has_room(std::size_t bytes);
  std::uint64_t note_addition(const Key& key, const Place& place);
  bool begin_journal();
  void set_trouble(std::string why);
  [[nodiscard]] std::uint32_t age() const;
  void write_now_and_then();
  void write(std::unique_lock<std::mutex>& guard);
  std::string write_ours(const std::string& name, File* file);
  void write_elsewhere();

  Disk& disk_;
  const std::string directory_;
  const Settings settings_;

  std::unique_ptr<Hold> used_;  // null where files cannot be held

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Journals journals_;
  OwnJournal ours_;
  Contents contents_;
  std::vector<Callable> callables_;  // that this job calls, by number
  Progress progress_;

  transport::Thread thread_;
  std::unique_ptr<Sharing> sharing_;
};

}  // namespace rankview::checkpoint

#include <rankview/errors.hpp>

#include <cstring>
#include <exception>
#include <limits>

namespace rankview::checkpoint {
Checkpoint::Checkpoint(Disk& disk, std::string directory, Settings settings)
    : disk_(disk), directory_(std::move(directory)), settings_(std::move(settings)), journals_(disk, directory_) {
  disk_.make_directory(directory_);
  begin_use();
  read_all();
  thread_ = transport::Thread(settings_.clock, [this] { write_now_and_then(); });
  if (settings_.lease.count() == 0) return;
  Sharing::Settings sharing;
  sharing.job = job_name();
  sharing.stale = settings_.lease;
  sharing.look = std::min<std::chrono::milliseconds>(std::chrono::seconds(1), settings_.lease / 10);
  sharing.clock = settings_.clock;
  sharing.read_on = [this] { read_on(); };
  // No longer than leases last that are not renewed meanwhile.
  const auto patience = std::min<std::chrono::milliseconds>(std::chrono::seconds(10), settings_.lease / 3);
  sharing.flush = [this, patience] { flush(patience); };
  sharing.warn = settings_.warn;
  sharing.attend = settings_.attend;
  sharing_ = std::make_unique<Sharing>(disk_, directory_, std::move(sharing));
}

Checkpoint::~Checkpoint() {
  if (sharing_ != nullptr) sharing_->stop();
  {
    const std::lock_guard guard(mutex_);
    progress_.quitting = true;
  }
  changed_.notify_all();
  thread_.join();
  if (progress_.additions != progress_.durable || progress_.dropped != 0)
    settings_.warn("the checkpoint " + directory_ + " lacks " +
                   std::to_string(progress_.additions - progress_.durable + progress_.dropped) +
                   " tasks that have ended, which the next run does again" + (progress_.trouble.empty() ? "" : ": " + progress_.trouble));
  // What others may do now is on disk.
  sharing_.reset();
}

// Lets it be known that a job uses it. Who rewrites the journals is waited for.
void Checkpoint::begin_use() {
  const auto limit = settings_.clock.steady_now() + settings_.patience;
  try {
    while ((used_ = disk_.hold(journals_.path(std::string(used_name)), false)) == nullptr) {
      if (settings_.clock.steady_now() >= limit)
        throw UsageError("the checkpoint " + directory_ + " is being rewritten (rankview checkpoint); start again when that is over");
      settings_.clock.sleep(std::chrono::milliseconds(20));
    }
  } catch (const std::system_error&) {
    // Where files cannot be held nobody can hold it alone either.
  }
}

// ---- what there is -----------------------------------------------------------------------------------------------------------

void Checkpoint::read_all() {
  for (const std::string& name : disk_.list(directory_)) {
    if (name.ends_with(journal_ending)) read_new(name);
  }
}

void Checkpoint::read_new(const std::string& name) {
  try {
    read(name);
  } catch (const OfLaterVersion& later) {
    settings_.warn("the checkpoint's " + journals_.path(name) + " is of format " + std::to_string(later.format) +
                   ", and this rankview knows " + std::to_string(format_version) + "; what it says is left out");
  } catch (const std::exception& error) {
    settings_.warn("the checkpoint's " + journals_.path(name) + " cannot be read, and what it says is left out: " + error.what());
  }
}

void Checkpoint::read(const std::string& name) {
  if (journals_.full()) throw UsageError("there are too many journals");
  const auto file = disk_.open(journals_.path(name));
  // Should reading fail halfway, what was read of it is there.
  const std::uint32_t journal = journals_.add(name, true);
  Damage damage;
  contents_.read(*file, journal, journals_[journal].read, damage);
  tell_damage(name, damage);
}

// A job's journals and what says that it lives begin alike.
std::string Checkpoint::job_name() const {
  const Origin& origin = settings_.origin;
  return origin.host + "-" + std::to_string(origin.process) + "-" + std::to_string(origin.began);
}

void Checkpoint::read_on() {
  try {
    const std::vector<std::string> names = disk_.list(directory_);
    const std::lock_guard guard(mutex_);
    std::set<std::string_view> known;
    for (const Journals::Journal& journal : journals_) known.insert(journal.name);
    const std::string mine = job_name() + "-";
    std::set<std::string_view> jobs;
    std::vector<std::string> added;
    for (const std::string& name : names) {
      if (name.starts_with(job_beginning)) jobs.insert(std::string_view(name).substr(job_beginning.size()));
      if (name.ends_with(journal_ending) && !name.starts_with(mine) && !known.contains(name)) added.push_back(name);
    }
    for (std::size_t number = 0; number < journals_.size(); ++number) {
      Journals::Journal& journal = journals_[number];
      if ((ours_.begun() && number == ours_.number()) || journal.name.starts_with(mine)) continue;
      // Of a job that has gone this is the last time.
      const bool lives = jobs.contains(std::string_view(journal.name).substr(0, journal.name.rfind('-')));
      if (journal.grows || lives) read_on(number);
      journal.grows = lives;
    }
    for (const std::string& name : added) read_new(name);
  } catch (const std::exception& error) {
    settings_.warn("the checkpoint " + directory_ + ": what other jobs have finished cannot be read: " + error.what());
  }
}

void Checkpoint::read_on(std::size_t number) {
  Journals::Journal& journal = journals_[number];
  try {
    const auto file = disk_.open(journals_.path(journal.name));
    if (file->size() <= journal.read.end) return;
    Damage damage;
    contents_.read(*file, static_cast<std::uint32_t>(number), journal.read, damage);
    tell_damage(journal.name, damage);
  } catch (const OfLaterVersion&) {
    // That was told when it was met.
  }
}

void Checkpoint::tell_damage(const std::string& name, const Damage& damage) const {
  if (damage.bytes != 0)
    settings_.warn("the checkpoint's " + journals_.path(name) + " is damaged: " + std::to_string(damage.bytes) + " bytes, the first at " +
                   std::to_string(damage.first) + ", say nothing; what they were about is done again");
  if (damage.later != 0)
    settings_.warn("the checkpoint's " + journals_.path(name) + " has " + std::to_string(damage.later) +
                   " records that only a later rankview knows; they are left out");
}

std::uint32_t Checkpoint::enlist(const Callable& callable, const std::string& what) {
  const std::lock_guard guard(mutex_);
  const auto number = std::find(callables_.begin(), callables_.end(), callable);
  if (number != callables_.end()) return static_cast<std::uint32_t>(number - callables_.begin());
  const auto [type, first] = contents_.result_types.try_emplace({callable.name, callable.version}, callable.result);
  if (type->second != callable.result)
    throw UsageError("the checkpoint " + directory_ + " has results of " + what + " that are " + type->second + ", and now " +
                     callable.shown + " gives " + callable.result + ": give it another Flags::version, or another directory");
  const auto next = static_cast<std::uint32_t>(callables_.size());
  callables_.push_back(callable);
  if (ours_.begun()) ours_.add(next, callable);
  return next;
}

std::vector<std::string> Checkpoint::versions(const std::string& name) const {
  const std::lock_guard guard(mutex_);
  std::vector<std::string> versions;
  for (auto at = contents_.result_types.lower_bound({name, ""}); at != contents_.result_types.end() && at->first.first == name; ++at)
    versions.push_back(at->first.second);
  return versions;
}

std::size_t Checkpoint::size() const {
  const std::lock_guard guard(mutex_);
  return contents_.index.size();
}

Found Checkpoint::find(const Key& key, detail::Buffer& into, bool on_disk) {
  if (on_disk && !is_on_disk(key) && !flush()) return Found::nothing;
  const std::lock_guard guard(mutex_);
  const std::size_t before = into.size();
  try {
    Place place;
    if (contents_.index.find(key, place) && read_entry_at(place, key, into)) return place.failed ? Found::failure : Found::result;
  } catch (const std::system_error& error) {
    // It was there when this began.
    settings_.warn("the checkpoint " + directory_ + ": what was kept cannot be read, and is done again: " + error.what());
    journals_.forget();
  }
  into.truncate(before);
  return Found::nothing;
}

// Whether what is there of the key, if anything is, survives.
bool Checkpoint::is_on_disk(const Key& key) const {
  const std::lock_guard guard(mutex_);
  Place place;
  return !contents_.index.find(key, place) || ours_.on_disk(place);
}

// Adds what the entry holds, if it is the key's.
bool Checkpoint::read_entry_at(Place place, const Key& key, detail::Buffer& into) {
  std::byte head[entry_head];
  if (read_at(place, head) != sizeof(head)) return false;
  const Entry entry = read_entry(head);
  if (entry.key != key) return false;
  place.offset += sizeof(head);
  const auto size = static_cast<std::size_t>(entry.size);
  return read_at(place, {into.extend(size), size}) == size;
}

std::size_t Checkpoint::read_at(const Place& place, std::span<std::byte> into) {
  return ours_.on_disk(place) ? journals_.read(place, into) : ours_.read(place, into);
}

// ---- what is added -----------------------------------------------------------------------------------------------------------

std::uint64_t Checkpoint::add(std::uint32_t callable, const Key& key, Bytes value) {
  const std::lock_guard guard(mutex_);
  return has_room(value.size()) ? note_addition(key, ours_.add(callable, key, value)) : not_added;
}

std::uint64_t Checkpoint::add_failure(std::uint32_t callable, const Key& key, std::string_view why) {
  const std::lock_guard guard(mutex_);
  return has_room(why.size()) ? note_addition(key, ours_.add_failure(callable, key, why)) : not_added;
}

// Whether so much more can be added; there is a journal for it then. There is no room where the disk takes nothing.
bool Checkpoint::has_room(std::size_t bytes) {
  const bool full = !progress_.trouble.empty() && ours_.unwritten() + bytes > settings_.most_unwritten;
  if (!full && (ours_.begun() || begin_journal())) return true;
  ++progress_.dropped;
  return false;
}

std::uint64_t Checkpoint::note_addition(const Key& key, const Place& place) {
  contents_.index.add(key, place);
  ++progress_.additions;
  if (progress_.hurried) changed_.notify_all();
  return progress_.additions;
}

// In memory; the file is made when there is something to be written.
bool Checkpoint::begin_journal() {
  if (journals_.full()) {
    set_trouble("there are too many journals");
    return false;
  }
  const std::string name = job_name() + "-" + std::to_string(ours_.count()) + std::string(journal_ending);
  ours_.begin(journals_.add(name, false), settings_.origin, callables_);
  return true;
}

void Checkpoint::set_trouble(std::string why) {
  if (progress_.trouble.empty() != why.empty())
    settings_.warn("the checkpoint " + directory_ + (why.empty() ? " is written again" : " cannot be written, and is tried again: " + why));
  progress_.trouble = std::move(why);
  progress_.troubled.store(!progress_.trouble.empty(), std::memory_order_release);
}

void Checkpoint::hurry() {
  const std::lock_guard guard(mutex_);
  progress_.hurried = true;
  changed_.notify_all();
}

bool Checkpoint::flush(std::optional<std::chrono::milliseconds> limit) {
  std::unique_lock guard(mutex_);
  const std::uint64_t wanted = progress_.additions;
  // A round that is under way may have begun before.
  const std::uint64_t enough = progress_.rounds + 2;
  const auto over = [&] { return progress_.durable >= wanted || (progress_.rounds >= enough && !progress_.trouble.empty()); };
  ++progress_.flushes;
  changed_.notify_all();
  while (!settings_.clock.wait_for(changed_, guard, limit.value_or(std::chrono::hours(1)), over) && !limit) continue;
  --progress_.flushes;
  return progress_.durable >= wanted;
}

std::string Checkpoint::trouble() const {
  const std::lock_guard guard(mutex_);
  return progress_.trouble;
}

// ---- the thread that writes --------------------------------------------------------------------------------------------------

void Checkpoint::write_now_and_then() {
  std::unique_lock guard(mutex_);
  for (bool last = false; !last;) {
    const auto wanted = [this] {
      return progress_.quitting ||
             ((progress_.hurried || progress_.flushes != 0) && progress_.additions != progress_.durable && progress_.trouble.empty());
    };
    settings_.clock.wait_for(changed_, guard, progress_.trouble.empty() ? settings_.delay : settings_.retry, wanted);
    last = progress_.quitting;
    ours_.set_age(age());
    if (progress_.additions != progress_.durable) write(guard);
    ++progress_.rounds;
    changed_.notify_all();
  }
}

// How long ago our journals began, in seconds.
std::uint32_t Checkpoint::age() const {
  const auto began = std::chrono::nanoseconds(settings_.origin.began);
  const auto passed = std::chrono::duration_cast<std::chrono::seconds>(settings_.now() - began);
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(passed.count(), 0, std::numeric_limits<std::uint32_t>::max()));
}

void Checkpoint::write(std::unique_lock<std::mutex>& guard) {
  ours_.begin_writing();
  const std::uint64_t number = progress_.additions;
  const std::string name = journals_[ours_.number()].name;
  File* const file = journals_[ours_.number()].file.get();
  guard.unlock();
  std::string why = write_ours(name, file);
  guard.lock();
  if (why.empty()) {
    ours_.end_writing();
    progress_.durable.store(number, std::memory_order_release);
  } else {
    write_elsewhere();
  }
  set_trouble(std::move(why));
}

// Without the lock: nobody else changes what is being written. Gives why it cannot be, or nothing.
std::string Checkpoint::write_ours(const std::string& name, File* file) {
  try {
    if (file == nullptr) {
      auto made = disk_.create(journals_.path(name));
      file = made.get();
      const std::lock_guard guard(mutex_);
      journals_[ours_.number()].file = std::move(made);
    }
    file->append(ours_.writing());
    file->sync();
    if (!ours_.any_on_disk()) disk_.sync_directory(directory_);
    return {};
  } catch (const std::exception& error) {
    return error.what();
  }
}

// Nobody knows what of it is on disk, so all of it goes into another journal, as the first that is in it.
void Checkpoint::write_elsewhere() {
  const detail::Buffer given_up = ours_.give_up();
  const std::uint32_t before = ours_.number();
  const bool useless = !ours_.any_on_disk();
  if (useless && journals_[before].file != nullptr) {
    // Whatever there is of it is also in the other one; that it stays does no harm.
    try {
      disk_.remove(journals_.path(journals_[before].name));
    } catch (const std::exception& error) {
      settings_.warn("the checkpoint " + directory_ + ": " + error.what());
    }
  }
  // Others' may have come behind it; then its place stays, and nothing is there.
  if (useless && before + 1 == journals_.size()) journals_.remove_last();
  begin_journal();
  ours_.add_again(given_up, [this](const Key& key, const Place& place) { contents_.index.move(key, place); });
}

}  // namespace rankview::checkpoint

namespace rankview::checkpoint {

void Contents::read(File& file, std::uint32_t journal, ReadSoFar& so_far, Damage& damage) {
  std::vector<bool>& known = so_far.known;
  Reading reading;
  reading.origin = [](const Origin& origin) {
    if (origin.format != format_version) throw OfLaterVersion{origin.format};
  };
  reading.callable = [&](std::uint32_t number, const Callable& callable) {
    constexpr std::uint32_t most = 1U << 20U;
    if (number >= most) return;
    if (number >= known.size()) known.resize(number + 1);
    const auto [type, first] = result_types.try_emplace({callable.name, callable.version}, callable.result);
    known[number] = first || type->second == callable.result;
  };
  reading.finished = [&](const Finished& finished) {
    ++(finished.failed ? so_far.failures : so_far.results);
    // Of what has lost its name nobody knows the type.
    if (finished.callable >= known.size() || !known[finished.callable] || finished.entry >> Place::offset_bits != 0) {
      ++so_far.nameless;
    } else {
      index.add(finished.key, {journal, finished.entry, finished.failed});
    }
  };
  so_far.end = read_frames(file, so_far.end, reading, damage);
}

}  // namespace rankview::checkpoint

#include <rankview/detail/stream.hpp>

namespace rankview::checkpoint {
namespace {

constexpr std::uint64_t marker = 0x314e52554f4a5652;  // "RVJOURN1"
constexpr std::size_t step = 8;                       // frames begin at multiples of it
// So many bytes of results are lost with a flipped bit.
constexpr std::size_t frame_bytes = 64 * 1024;

struct Head {
  std::uint64_t begins = marker;
  std::uint32_t kind = 0;
  std::uint32_t age = 0;
  std::uint64_t size = 0;  // of what follows
  std::uint64_t check = 0;
};

static_assert(failure_entry == sizeof(Head) + 2 * sizeof(std::uint32_t));

constexpr std::size_t padded(std::size_t size) { return (size + step - 1) / step * step; }

std::uint64_t check_of(const Head& head, Bytes payload) { return checksum(payload, std::uint64_t{head.age} << 32 | head.kind); }

void pad(detail::Buffer& to) {
  constexpr std::byte nothing[step] = {};
  to.append(nothing, padded(to.size()) - to.size());
}

void write_frame(detail::Buffer& to, FrameKind kind, const detail::Writer& payload, std::uint32_t age = 0) {
  Head head;
  head.kind = static_cast<std::uint32_t>(kind);
  head.age = age;
  head.size = payload.bytes.size();
  head.check = check_of(head, payload.bytes.bytes());
  to.append(&head, sizeof(head));
  to.append(payload.bytes.data(), payload.bytes.size());
  pad(to);
}

// Looks at a file through a window that moves on.
class Window {
 public:
  explicit Window(File& file) : file_(file), size_(file.size()) {}

  [[nodiscard]] std::uint64_t size() const { return size_; }
  // Bytes from an offset on, as many as there are up to `count`; until the next call.
  Bytes at(std::uint64_t offset, std::size_t count) {
    count = static_cast<std::size_t>(std::min<std::uint64_t>(count, size_ - std::min(size_, offset)));
    if (offset < begin_ || offset + count > begin_ + held_) {
      const std::size_t wanted = std::max(count, window);
      if (bytes_.size() < wanted) bytes_.resize(wanted);
      begin_ = offset;
      held_ = file_.read(offset, std::span(bytes_).first(wanted));
      // It may have become shorter.
      if (held_ < count) size_ = offset + held_;
    }
    const auto from = static_cast<std::size_t>(offset - begin_);
    return Bytes(bytes_).subspan(from, std::min(count, held_ - from));
  }

 private:
  static constexpr std::size_t window = 1024 * 1024;

  File& file_;
  std::uint64_t size_;
  std::vector<std::byte> bytes_;
  std::uint64_t begin_ = 0;
  std::size_t held_ = 0;
};

std::string text_of(detail::Reader& in) { return std::string(in.text()); }

void take_entry(detail::Reader& in, std::uint64_t end, Finished& into, const Reading& reading) {
  into.entry = end - in.remaining();
  into.key = in.value<Key>();
  into.size = in.value<std::uint64_t>();
  in.skip(static_cast<std::size_t>(into.size));
  reading.finished(into);
}

void take_results(detail::Reader& in, std::uint64_t end, std::uint32_t age, const Reading& reading) {
  Finished finished;
  finished.callable = in.value<std::uint32_t>();
  finished.age = age;
  const auto count = in.value<std::uint32_t>();
  for (std::uint32_t i = 0; i < count; ++i) take_entry(in, end, finished, reading);
}

void take_failure(detail::Reader& in, std::uint64_t end, std::uint32_t age, const Reading& reading) {
  Finished finished;
  finished.callable = in.value<std::uint32_t>();
  finished.age = age;
  finished.failed = true;
  in.value<std::uint32_t>();
  take_entry(in, end, finished, reading);
}

// Whether it is of a kind that is known.
bool take(const Head& head, Bytes bytes, std::uint64_t payload, const Reading& reading) {
  detail::Reader in(bytes);
  switch (static_cast<FrameKind>(head.kind)) {
    case FrameKind::begin: {
      Origin origin;
      origin.format = in.value<std::uint32_t>();
      // What comes then, a later version says.
      if (origin.format == format_version) {
        origin.host = text_of(in);
        origin.process = in.value<std::uint64_t>();
        origin.began = in.value<std::int64_t>();
        origin.program = text_of(in);
      }
      reading.origin(origin);
      return true;
    }
    case FrameKind::function: {
      const auto number = in.value<std::uint32_t>();
      Callable callable;
      callable.name = text_of(in);
      callable.version = text_of(in);
      callable.result = text_of(in);
      callable.shown = text_of(in);
      reading.callable(number, std::move(callable));
      return true;
    }
    case FrameKind::results:
      take_results(in, payload + bytes.size(), head.age, reading);
      return true;
    case FrameKind::failure:
      take_failure(in, payload + bytes.size(), head.age, reading);
      return true;
  }
  return false;
}

}  // namespace

void write(detail::Buffer& to, const Origin& origin) {
  detail::Writer out;
  out.value(origin.format);
  out.text(origin.host);
  out.value(origin.process);
  out.value(origin.began);
  out.text(origin.program);
  write_frame(to, FrameKind::begin, out);
}

void write(detail::Buffer& to, std::uint32_t number, const Callable& callable) {
  detail::Writer out;
  out.value(number);
  out.text(callable.name);
  out.text(callable.version);
  out.text(callable.result);
  out.text(callable.shown);
  write_frame(to, FrameKind::function, out);
}

void write_failure(detail::Buffer& to, std::uint32_t callable, const Key& key, std::string_view why, std::uint32_t age) {
  detail::Writer out;
  out.value(callable);
  out.value(std::uint32_t{0});
  out.value(key);
  out.text(why);
  write_frame(to, FrameKind::failure, out, age);
}

std::size_t ResultFrames::add(detail::Buffer& to, std::uint32_t callable, const Key& key, Bytes value) {
  if (open() && (callable != callable_ || to.size() - begin_ + value.size() > frame_bytes)) close(to);
  if (!open()) {
    begin_ = to.size();
    callable_ = callable;
    count_ = 0;
    to.extend(sizeof(Head) + 2 * sizeof(std::uint32_t));
  }
  ++count_;
  const std::size_t entry = to.size();
  const std::uint64_t size = value.size();
  to.append(&key, sizeof(key));
  to.append(&size, sizeof(size));
  to.append(value.data(), value.size());
  return entry;
}

void ResultFrames::close(detail::Buffer& to) {
  if (!open()) return;
  std::byte* const at = to.data() + begin_;
  const Bytes payload = to.bytes().subspan(begin_ + sizeof(Head));
  std::memcpy(at + sizeof(Head), &callable_, sizeof(callable_));
  std::memcpy(at + sizeof(Head) + sizeof(callable_), &count_, sizeof(count_));
  Head head;
  head.kind = static_cast<std::uint32_t>(FrameKind::results);
  head.age = age_;
  head.size = payload.size();
  head.check = check_of(head, payload);
  std::memcpy(at, &head, sizeof(head));
  begin_ = none;
  pad(to);
}

std::uint64_t read_frames(File& file, std::uint64_t begin, const Reading& reading, Damage& damage) {
  Window window(file);
  std::uint64_t at = begin;
  const auto damaged = [&](std::uint64_t bytes) {
    if (damage.bytes == 0) damage.first = at;
    damage.bytes += bytes;
    at += bytes;
  };
  // What looks unfinished is so only if nothing whole comes behind it: until then it counts as damaged, and the last of it is taken back.
  std::optional<std::uint64_t> unfinished;
  while (at < window.size()) {
    Head head;
    const Bytes first = window.at(at, sizeof(head));
    if (first.size() < sizeof(head)) break;
    std::memcpy(&head, first.data(), sizeof(head));
    if (head.begins != marker) {
      damaged(step);
      continue;
    }
    const std::uint64_t payload = at + sizeof(head);
    if (head.size > window.size() - payload) {
      // Not all of it is there: it is being written, or its length is damaged.
      if (!unfinished) unfinished = at;
      damaged(step);
      continue;
    }
    const auto size = static_cast<std::size_t>(head.size);
    const Bytes bytes = window.at(payload, size);
    if (bytes.size() < size || check_of(head, bytes) != head.check) {
      damaged(step);
      continue;
    }
    unfinished.reset();
    try {
      if (!take(head, bytes, payload, reading)) ++damage.later;
    } catch (const DecodeError&) {
      // Its checksum is right, and still it is none that this version writes.
      ++damage.later;
    }
    at = payload + padded(size);
  }
  if (unfinished) {
    damage.bytes -= at - *unfinished;
    at = *unfinished;
  }
  damage.cut = at < window.size();
  return at;
}

Entry read_entry(std::span<const std::byte, entry_head> bytes) {
  detail::Reader in(bytes);
  Entry entry;
  entry.key = in.value<Key>();
  entry.size = in.value<std::uint64_t>();
  return entry;
}

}  // namespace rankview::checkpoint

namespace rankview::checkpoint {

std::uint32_t Journals::add(std::string name, bool grows) {
  all_.push_back({std::move(name), nullptr, {}, grows});
  return static_cast<std::uint32_t>(all_.size() - 1);
}

// Whoever looks for what was done in the order in which it was done finds the next ones read already.
std::size_t Journals::read(const Place& place, std::span<std::byte> into) {
  constexpr std::size_t much = 256 * 1024;
  constexpr std::size_t little = 4096;
  File& file = opened(place.journal);
  if (into.size() > little) return file.read(place.offset, into);
  const std::uint64_t behind = cached_.offset + cache_.size();
  const bool same = place.journal == cached_.journal && place.offset >= cached_.offset;
  if (!same || place.offset + into.size() > behind) {
    const bool goes_on = same && place.offset <= behind + much;
    cached_ = place;
    cache_.resize(goes_on ? much : little);
    cache_.resize(file.read(place.offset, cache_));
  }
  const auto from = static_cast<std::size_t>(place.offset - cached_.offset);
  const std::size_t count = std::min(into.size(), cache_.size() - from);
  std::copy_n(cache_.begin() + static_cast<std::ptrdiff_t>(from), count, into.begin());
  return count;
}

void Journals::forget() {
  cache_.clear();
  reading_.clear();
}

// A campaign may have more journals than a process may have open files.
File& Journals::opened(std::uint32_t journal) {
  constexpr std::size_t most = 16;
  if (all_[journal].file != nullptr) return *all_[journal].file;
  for (const auto& [number, file] : reading_) {
    if (number == journal) return *file;
  }
  auto file = disk_.open(path(all_[journal].name));
  if (reading_.size() == most) reading_.pop_front();
  return *reading_.emplace_back(journal, std::move(file)).second;
}

}  // namespace rankview::checkpoint

#if __has_include(<xxhash.h>)
#define XXH_INLINE_ALL
#include <xxhash.h>
#define RANKVIEW_HAS_XXHASH 1
#else
#define RANKVIEW_HAS_XXHASH 0
#endif

namespace rankview::checkpoint {

#if RANKVIEW_HAS_XXHASH

Key key_of(std::span<const std::byte> bytes, std::uint64_t seed) {
  const XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
  return {hash.high64, hash.low64};
}

std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

#else

namespace {

[[noreturn]] void refuse_to_hash() {
  throw UsageError("Flags::checkpoint needs <xxhash.h> where rankview is compiled (Debian's libxxhash-dev)");
}

}  // namespace

Key key_of(std::span<const std::byte>, std::uint64_t) { refuse_to_hash(); }

std::uint64_t checksum(std::span<const std::byte>, std::uint64_t) { refuse_to_hash(); }

#endif

}  // namespace rankview::checkpoint

#include <charconv>

namespace rankview::checkpoint {
namespace {

// Reads the number that stands there, and what separates it from the next. False if that is none.
bool take_number(std::string_view& text, std::uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (!text.empty()) {
    if (text.front() != '-') return false;
    text.remove_prefix(1);
  }
  return true;
}

// The host of a job that is called HOST-PROCESS-BEGAN.
std::string_view host_of(std::string_view job) {
  for (int parts = 0; parts < 2; ++parts) job = job.substr(0, std::min(job.size(), job.rfind('-')));
  return job;
}

// Somebody else may have done so.
void remove_if_there(Disk& disk, const std::string& path) {
  try {
    disk.remove(path);
  } catch (const std::system_error& error) {
    if (error.code() != std::errc::no_such_file_or_directory) throw;
  }
}

}  // namespace

Leases::Leases(Disk& disk, std::string directory, const std::string& job, std::chrono::nanoseconds stale, const transport::Clock& clock)
    : disk_(disk), directory_(std::move(directory)), job_(std::string(job_beginning) + job), stale_(stale) {
  try {
    disk_.create(path(job_))->append(std::as_bytes(std::span(job_)));
    hold(clock);
  } catch (const std::exception& error) {
    switch_off(error.what());
  }
}

void Leases::hold(const transport::Clock& clock) {
  constexpr int most = 100;
  try {
    // Somebody who asks whether it is held may hold it for a moment.
    for (int tries = 0; tries < most && (hold_ = disk_.hold(path(job_), true)) == nullptr; ++tries)
      clock.sleep(std::chrono::milliseconds(10));
  } catch (const std::system_error&) {
    // Where files cannot be held the time alone has to do.
    return;
  }
  if (hold_ == nullptr) throw std::system_error(std::make_error_code(std::errc::device_or_resource_busy), path(job_));
}

Leases::~Leases() {
  try {
    while (!held_.empty()) drop(held_.begin()->first);
    disk_.remove(path(job_));
  } catch (const std::exception&) {
    // They will be stale.
  }
}

std::string Leases::lease_name(std::uint32_t of, std::uint64_t number) {
  return std::string(lease_beginning) + std::to_string(buckets) + "-" + std::to_string(of) + "-" + std::to_string(number);
}

Leases::Seen Leases::list() const {
  Seen seen;
  for (std::string& name : disk_.list(directory_)) {
    if (name.starts_with(job_beginning)) {
      if (name != job_) seen.jobs.push_back(std::move(name));
      continue;
    }
    if (!name.starts_with(lease_beginning)) continue;
    std::string_view rest = std::string_view(name).substr(lease_beginning.size());
    std::uint64_t of_so_many = 0;
    std::uint64_t of = 0;
    std::uint64_t number = 0;
    if (take_number(rest, of_so_many) && take_number(rest, of) && take_number(rest, number) && of_so_many == buckets && of <= all)
      seen.leases[static_cast<std::uint32_t>(of)].insert(number);
  }
  return seen;
}

bool Leases::is_fresh(const std::string& name) const {
  const std::optional<std::chrono::nanoseconds> touched = disk_.touched(path(name));
  return touched && now_ - *touched < stale_ && (disk_.is_held(path(name)) || !is_of_this_host(name));
}

// A file system may have locks that are seen on the host only that has them.
bool Leases::is_of_this_host(const std::string& name) const {
  std::string job(most_of_name, '\0');
  try {
    job.resize(disk_.open(path(name))->read(0, std::as_writable_bytes(std::span(job))));
  } catch (const std::system_error& error) {
    if (error.code() != std::errc::no_such_file_or_directory) throw;
    return true;
  }
  return host_of(job) == host_of(job_);
}

bool Leases::is_others(const Seen& seen, std::uint32_t of) const {
  const auto found = seen.leases.find(of);
  if (found == seen.leases.end()) return false;
  const std::uint64_t highest = *found->second.rbegin();
  const auto ours = held_.find(of);
  if (ours != held_.end() && ours->second >= highest) return false;
  return is_fresh(lease_name(of, highest));
}

bool Leases::any_bucket_of_others(const Seen& seen) const {
  for (const auto& [of, numbers] : seen.leases) {
    if (of != all && is_others(seen, of)) return true;
  }
  return false;
}

// Of several who try, one has it. What is below it is stale, and goes.
bool Leases::take(const Seen& seen, std::uint32_t of) {
  const auto found = seen.leases.find(of);
  const std::uint64_t number = found == seen.leases.end() ? 0 : *found->second.rbegin() + 1;
  if (!disk_.link(path(job_), path(lease_name(of, number)))) return false;
  held_[of] = number;
  if (found != seen.leases.end()) {
    for (const std::uint64_t lower : found->second) remove_if_there(disk_, path(lease_name(of, lower)));
  }
  return true;
}

void Leases::drop(std::uint32_t of) {
  const auto found = held_.find(of);
  if (found == held_.end()) return;
  const std::string name = lease_name(of, found->second);
  held_.erase(found);
  remove_if_there(disk_, path(name));
}

void Leases::switch_off(const std::string& why) {
  mode_ = Mode::off;
  trouble_ = why;
  held_.clear();
}

// Where this job belongs that has nothing yet.
void Leases::find_place(const Seen& seen) {
  if (any_bucket_of_others(seen)) {
    // What somebody had who was alone, and has died, is taken from there by whoever wants it.
    if (!is_others(seen, all)) mode_ = Mode::sharing;
    return;
  }
  if (is_others(seen, all) || !take(seen, all)) return;
  // Somebody may have taken a bucket meanwhile.
  if (any_bucket_of_others(list())) {
    drop(all);
    mode_ = Mode::sharing;
  } else {
    mode_ = Mode::alone;
  }
}

void Leases::note_lost(const Seen& seen, Changes& changes) {
  for (auto at = held_.begin(); at != held_.end();) {
    const auto found = seen.leases.find(at->first);
    if (found != seen.leases.end() && *found->second.rbegin() == at->second) {
      ++at;
      continue;
    }
    if (at->first == all) {
      mode_ = Mode::waiting;
    } else {
      changes.lost.push_back(at->first);
    }
    at = held_.erase(at);
  }
}

Leases::Changes Leases::look() {
  Changes changes;
  if (mode_ == Mode::off) return changes;
  try {
    now_ = disk_.touch(path(job_));
    const Seen seen = list();
    note_lost(seen, changes);
    if (mode_ == Mode::waiting) find_place(seen);
    if (mode_ == Mode::alone) {
      for (const std::string& job : seen.jobs) {
        if (is_fresh(job)) mode_ = Mode::asked;
      }
    }
  } catch (const std::exception& error) {
    switch_off(error.what());
  }
  return changes;
}

Leases::Changes Leases::get(const std::vector<std::uint32_t>& wanted, std::size_t most) {
  Changes changes;
  if (mode_ != Mode::sharing || wanted.empty()) return changes;
  try {
    const Seen seen = list();
    // Who has just come, and thinks that it is alone, will see this job.
    if (is_others(seen, all)) return changes;
    for (const std::uint32_t bucket : wanted) {
      if (changes.gained.size() == most) break;
      if (held_.contains(bucket) || is_others(seen, bucket) || !take(seen, bucket)) continue;
      changes.gained.push_back(bucket);
    }
    if (!changes.gained.empty() && is_others(list(), all)) {
      for (const std::uint32_t bucket : changes.gained) drop(bucket);
      changes.gained.clear();
    }
  } catch (const std::exception& error) {
    switch_off(error.what());
    changes = {};
  }
  return changes;
}

Leases::Changes Leases::share(const std::vector<std::uint32_t>& begun) {
  Changes changes;
  if (mode_ != Mode::asked) return changes;
  try {
    const Seen seen = list();
    for (const std::uint32_t bucket : begun) {
      if (!held_.contains(bucket) && !is_others(seen, bucket) && take(seen, bucket)) changes.gained.push_back(bucket);
    }
    drop(all);
    mode_ = Mode::sharing;
  } catch (const std::exception& error) {
    switch_off(error.what());
    changes = {};
  }
  return changes;
}

void Leases::give_back(std::uint32_t bucket) {
  try {
    drop(bucket);
  } catch (const std::exception& error) {
    switch_off(error.what());
  }
}

}  // namespace rankview::checkpoint

namespace rankview::checkpoint {
namespace {

// What is in memory, read as if it were a file.
class MemoryFile final : public File {
 public:
  explicit MemoryFile(Bytes bytes) : bytes_(bytes) {}
  std::uint64_t size() override { return bytes_.size(); }
  std::size_t read(std::uint64_t offset, std::span<std::byte> into) override {
    const auto from = static_cast<std::size_t>(std::min<std::uint64_t>(offset, bytes_.size()));
    const std::size_t count = std::min(into.size(), bytes_.size() - from);
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(from), count, into.begin());
    return count;
  }
  void append(Bytes) override {}
  void sync() override {}

 private:
  Bytes bytes_;
};

}  // namespace

void OwnJournal::begin(std::uint32_t number, const Origin& origin, const std::vector<Callable>& callables) {
  number_ = number;
  ++count_;
  written_ = 0;
  checkpoint::write(tail_, origin);
  for (std::uint32_t callable = 0; callable < callables.size(); ++callable) checkpoint::write(tail_, callable, callables[callable]);
}

void OwnJournal::add(std::uint32_t number, const Callable& callable) {
  frames_.close(tail_);
  checkpoint::write(tail_, number, callable);
}

Place OwnJournal::add(std::uint32_t callable, const Key& key, Bytes value) {
  const std::size_t entry = frames_.add(tail_, callable, key, value);
  return {number_, written_ + writing_.size() + entry, false};
}

Place OwnJournal::add_failure(std::uint32_t callable, const Key& key, std::string_view why) {
  frames_.close(tail_);
  const std::size_t entry = tail_.size() + failure_entry;
  write_failure(tail_, callable, key, why, frames_.age());
  return {number_, written_ + writing_.size() + entry, true};
}

std::size_t OwnJournal::read(const Place& place, std::span<std::byte> into) const {
  std::uint64_t begin = written_;
  for (const detail::Buffer* part : {&writing_, &tail_}) {
    if (place.offset - begin < part->size()) {
      MemoryFile memory(part->bytes());
      return memory.read(place.offset - begin, into);
    }
    begin += part->size();
  }
  return 0;
}

void OwnJournal::begin_writing() {
  frames_.close(tail_);
  writing_ = std::exchange(tail_, {});
}

void OwnJournal::end_writing() {
  written_ += writing_.size();
  writing_ = {};
}

detail::Buffer OwnJournal::give_up() {
  frames_.close(tail_);
  detail::Buffer all = std::exchange(writing_, {});
  all.append(tail_.data(), tail_.size());
  tail_ = {};
  return all;
}

void OwnJournal::add_again(const detail::Buffer& given_up, const std::function<void(const Key&, const Place&)>& moved) {
  MemoryFile memory(given_up.bytes());
  Reading reading;
  reading.origin = [](const Origin&) {};
  reading.callable = [](std::uint32_t, const Callable&) {};
  reading.finished = [&](const Finished& finished) {
    const auto at = given_up.bytes().subspan(static_cast<std::size_t>(finished.entry));
    const Entry head = read_entry(at.first<entry_head>());
    const Bytes value = at.subspan(entry_head, static_cast<std::size_t>(head.size));
    frames_.set_age(finished.age);
    moved(finished.key, finished.failed
                            ? add_failure(finished.callable, finished.key, {reinterpret_cast<const char*>(value.data()), value.size()})
                            : add(finished.callable, finished.key, value));
  };
  Damage damage;
  read_frames(memory, 0, reading, damage);
}

}  // namespace rankview::checkpoint

#include <dirent.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <filesystem>

namespace rankview::checkpoint {
namespace {

[[noreturn]] void refuse(int error, const std::string& what) { throw std::system_error(error, std::generic_category(), what); }

void check_no_stranger(const struct stat& is, const std::string& path) {
  if (is.st_uid != ::geteuid() && is.st_uid != 0) refuse(EPERM, path + " belongs to another user");
  if ((is.st_mode & (S_IWGRP | S_IWOTH)) != 0) refuse(EPERM, path + " may be written to by other users (chmod go-w)");
}

class PosixFile final : public File {
 public:
  PosixFile(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}
  ~PosixFile() override { ::close(descriptor_); }

  std::uint64_t size() override {
    struct stat is {};
    if (::fstat(descriptor_, &is) != 0) refuse(errno, "looking at " + path_);
    return static_cast<std::uint64_t>(is.st_size);
  }
  std::size_t read(std::uint64_t offset, std::span<std::byte> into) override {
    std::size_t got = 0;
    while (got < into.size()) {
      const ssize_t some = ::pread(descriptor_, into.data() + got, into.size() - got, static_cast<off_t>(offset + got));
      if (some == 0) break;
      if (some > 0) {
        got += static_cast<std::size_t>(some);
      } else if (errno != EINTR) {
        refuse(errno, "reading " + path_);
      }
    }
    return got;
  }
  void append(std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t some = ::write(descriptor_, bytes.data(), bytes.size());
      if (some >= 0) {
        bytes = bytes.subspan(static_cast<std::size_t>(some));
      } else if (errno != EINTR) {
        refuse(errno, "writing " + path_);
      }
    }
  }
  void sync() override {
    if (::fdatasync(descriptor_) != 0) refuse(errno, "syncing " + path_);
  }
  std::chrono::nanoseconds touched() {
    struct stat is {};
    if (::fstat(descriptor_, &is) != 0) refuse(errno, "looking at " + path_);
    return std::chrono::seconds(is.st_mtim.tv_sec) + std::chrono::nanoseconds(is.st_mtim.tv_nsec);
  }
  // For as long as it is open, here or in a child. False if others have locked it otherwise.
  bool lock(bool alone) {
    while (::flock(descriptor_, (alone ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return false;
      if (errno != EINTR) refuse(errno, "locking " + path_);
    }
    return true;
  }

 private:
  int descriptor_;
  std::string path_;
};

class PosixHold final : public Hold {
 public:
  explicit PosixHold(std::unique_ptr<PosixFile> file) : file_(std::move(file)) {}

 private:
  std::unique_ptr<PosixFile> file_;
};

class PosixDisk final : public Disk {
 public:
  void make_directory(const std::string& path) override {
    std::error_code error;
    const auto above = std::filesystem::path(path).parent_path();
    if (!above.empty()) std::filesystem::create_directories(above, error);
    if (error) refuse(error.value(), "making the directory " + path);
    // Also where a mask leaves others more.
    if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) refuse(errno, "making the directory " + path);
    check_directory(path);
  }
  void check_directory(const std::string& path) override {
    struct stat is {};
    if (::stat(path.c_str(), &is) != 0) refuse(errno, "looking at " + path);
    if (!S_ISDIR(is.st_mode)) refuse(ENOTDIR, path);
    check_no_stranger(is, path);
  }
  std::vector<std::string> list(const std::string& directory) override {
    std::error_code error;
    std::vector<std::string> names;
    for (auto at = std::filesystem::directory_iterator(directory, error); !error && at != std::filesystem::directory_iterator();
         at.increment(error))
      names.push_back(at->path().filename());
    if (error) refuse(error.value(), "listing " + directory);
    std::sort(names.begin(), names.end());
    return names;
  }
  std::unique_ptr<File> create(const std::string& path) override { return open(path, O_RDWR | O_CREAT | O_EXCL | O_APPEND, "making "); }
  std::unique_ptr<File> open(const std::string& path) override { return open(path, O_RDONLY, "opening "); }
  void sync_directory(const std::string& path) override {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) refuse(errno, "opening " + path);
    const bool well = ::fsync(descriptor) == 0;
    const int error = errno;
    ::close(descriptor);
    // Some file systems do not know that of directories, and keep names in order by themselves.
    if (!well && error != EINVAL && error != ENOTSUP) refuse(error, "syncing " + path);
  }
  void remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) refuse(errno, "removing " + path);
  }
  void rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) refuse(errno, "renaming " + from);
  }
  std::unique_ptr<Hold> hold(const std::string& path, bool alone) override {
    auto file = open(path, O_RDWR | O_CREAT, "opening ");
    return file->lock(alone) ? std::make_unique<PosixHold>(std::move(file)) : nullptr;
  }
  bool is_held(const std::string& path) override {
    try {
      // What is locked here goes with the opening.
      return !open(path, O_RDONLY, "opening ")->lock(false);
    } catch (const std::system_error& error) {
      return error.code() != std::errc::no_such_file_or_directory;
    }
  }
  bool link(const std::string& from, const std::string& to) override {
    if (::link(from.c_str(), to.c_str()) == 0) return true;
    if (errno != EEXIST) refuse(errno, "linking " + from);
    // Over a network it may have been made, and the answer been lost.
    struct stat one {};
    struct stat other {};
    return ::lstat(from.c_str(), &one) == 0 && ::lstat(to.c_str(), &other) == 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
  }
  std::chrono::nanoseconds touch(const std::string& path) override {
    // Without a time it is that of the file server.
    if (::utimensat(AT_FDCWD, path.c_str(), nullptr, AT_SYMLINK_NOFOLLOW) != 0) refuse(errno, "touching " + path);
    return open(path, O_RDONLY, "opening ")->touched();
  }
  std::optional<std::chrono::nanoseconds> touched(const std::string& path) override {
    try {
      // What is opened is not what was known of it a while ago.
      return open(path, O_RDONLY, "opening ")->touched();
    } catch (const std::system_error& error) {
      if (error.code() == std::errc::no_such_file_or_directory) return std::nullopt;
      throw;
    }
  }

 private:
  static std::unique_ptr<PosixFile> open(const std::string& path, int flags, const char* doing) {
    // Neither a link nor a pipe that nobody writes to.
    const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
    if (descriptor < 0) refuse(errno, doing + path);
    auto file = std::make_unique<PosixFile>(descriptor, path);
    struct stat is {};
    if (::fstat(descriptor, &is) != 0) refuse(errno, "looking at " + path);
    if (!S_ISREG(is.st_mode)) refuse(EINVAL, path + " is no file");
    check_no_stranger(is, path);
    return file;
  }
};

}  // namespace

Disk& posix_disk() {
  static PosixDisk disk;
  return disk;
}

}  // namespace rankview::checkpoint

namespace rankview::checkpoint {
namespace {

void append(std::vector<std::uint32_t>& to, const std::vector<std::uint32_t>& from) { to.insert(to.end(), from.begin(), from.end()); }

}  // namespace

Sharing::Sharing(Disk& disk, const std::string& directory, Settings settings)
    : settings_(std::move(settings)), leases_(std::in_place, disk, directory, settings_.job, settings_.stale, settings_.clock) {
  // Whoever submits something right away knows how things are.
  std::unique_lock guard(mutex_);
  step(guard, true);
  guard.unlock();
  thread_ = transport::Thread(settings_.clock, [this] { run(); });
}

Sharing::~Sharing() { stop(); }

void Sharing::stop() {
  {
    const std::lock_guard guard(mutex_);
    quitting_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Sharing::leave() {
  stop();
  leases_.reset();
}

bool Sharing::splits() const {
  const std::lock_guard guard(mutex_);
  return news_.splits;
}

Sharing::News Sharing::take_news() {
  const std::lock_guard guard(mutex_);
  any_news_.store(false, std::memory_order_relaxed);
  News news = news_;
  news_.gained.clear();
  news_.lost.clear();
  return news;
}

void Sharing::want(std::vector<std::uint32_t> order, std::size_t most) {
  {
    const std::lock_guard guard(mutex_);
    wanted_ = std::move(order);
    most_ = most;
    news_.answered = wanted_.empty();
    kicked_ = true;
  }
  changed_.notify_all();
}

void Sharing::share(std::vector<std::uint32_t> begun) {
  {
    const std::lock_guard guard(mutex_);
    begun_ = std::move(begun);
    says_begun_ = true;
    kicked_ = true;
  }
  changed_.notify_all();
}

void Sharing::give_back(std::vector<std::uint32_t> buckets) {
  {
    const std::lock_guard guard(mutex_);
    append(given_back_, buckets);
    kicked_ = true;
  }
  changed_.notify_all();
}

void Sharing::run() {
  std::unique_lock guard(mutex_);
  const transport::Clock& clock = settings_.clock;
  auto next_look = clock.steady_now() + settings_.look;
  while (!quitting_) {
    clock.wait_for(changed_, guard, next_look - clock.steady_now(), [this] { return quitting_ || kicked_; });
    if (quitting_) return;
    const bool looks = clock.steady_now() >= next_look;
    if (looks) next_look = clock.steady_now() + settings_.look;
    step(guard, looks);
    if (!looks || !settings_.attend || !(any_news() || news_.splits)) continue;
    guard.unlock();
    settings_.attend();
    guard.lock();
  }
}

// Does what was asked for, without the lock meanwhile.
void Sharing::step(std::unique_lock<std::mutex>& guard, bool looks) {
  kicked_ = false;
  const std::vector<std::uint32_t> given_back = std::exchange(given_back_, {});
  const std::vector<std::uint32_t> begun = std::exchange(begun_, {});
  const bool says_begun = std::exchange(says_begun_, false);
  const std::vector<std::uint32_t> wanted = wanted_;
  const std::size_t most = most_;
  const Leases::Mode before = leases_->mode();
  guard.unlock();
  Leases::Changes changes;
  const auto add = [&changes](const Leases::Changes& more) {
    append(changes.gained, more.gained);
    append(changes.lost, more.lost);
  };
  if (looks) add(leases_->look());
  // What has ended here, and others may look for from here on, is where they find it.
  if ((says_begun || !given_back.empty()) && settings_.flush) settings_.flush();
  if (says_begun) add(leases_->mode() == Leases::Mode::asked ? leases_->share(begun) : leases_->get(begun, begun.size()));
  for (const std::uint32_t bucket : given_back) leases_->give_back(bucket);
  const Leases::Changes got = leases_->get(wanted, most);
  add(got);
  const Leases::Mode mode = leases_->mode();
  // What others have finished before they gave it back is found now. Who was not alone before may have missed something.
  const bool opens = splits(before) && !splits(mode);
  if ((!got.gained.empty() || opens) && settings_.read_on) settings_.read_on();
  if (mode == Leases::Mode::off && before != Leases::Mode::off && settings_.warn)
    settings_.warn("jobs that use one checkpoint at the same time do not split the work, since leases cannot be had: " +
                   leases_->trouble());
  const bool had_all = before == Leases::Mode::alone || (before == Leases::Mode::asked && !says_begun);
  if ((!changes.lost.empty() || (had_all && splits(mode))) && settings_.warn)
    settings_.warn("other jobs have taken over tasks of this one, which gave no sign of life for " +
                   std::to_string(settings_.stale.count()) + " ms (RANKVIEW_LEASE_MS); some may be done twice");
  guard.lock();
  note_changes(changes);
  const bool answers = !news_.answered && wanted == wanted_ && (!got.gained.empty() || !splits(mode));
  if (answers) {
    news_.answered = true;
    wanted_.clear();
  }
  const bool news = answers || !changes.gained.empty() || !changes.lost.empty() || news_.splits != splits(mode) ||
                    (mode == Leases::Mode::asked) != news_.asked;
  news_.splits = splits(mode);
  news_.asked = mode == Leases::Mode::asked;
  if (news) any_news_.store(true, std::memory_order_release);
}

// What was lost and gained again is gained; what was gained and lost before anybody heard of it is only lost.
void Sharing::note_changes(const Leases::Changes& changes) {
  for (const std::uint32_t bucket : changes.lost) std::erase(news_.gained, bucket);
  append(news_.lost, changes.lost);
  append(news_.gained, changes.gained);
}

}  // namespace rankview::checkpoint

namespace rankview::inline abi_0_1 {

// While it lives, SIGTERM and SIGUSR1 do nothing to this process but make a descriptor readable, from which a number can be read for each.
// Not where the program has a handler for them, and there is one of these at most in a process: others do nothing. Children do not inherit
// it.
class DrainSignals {
 public:
  // `told`: an eventfd, or -1 if nobody wants to know.
  explicit DrainSignals(int told);
  DrainSignals(const DrainSignals&) = delete;
  DrainSignals& operator=(const DrainSignals&) = delete;
  ~DrainSignals();

  // What is read for a SIGTERM, and for a SIGUSR1, times how many there were.
  static constexpr unsigned long terminate = 1;
  static constexpr unsigned long user = 1UL << 20U;

 private:
  std::vector<int> taken_;
};

}  // namespace rankview

#include <rankview/options.hpp>

namespace rankview::inline abi_0_1::detail {

// What a program ends with that has drained, so that its job script starts it again: EX_TEMPFAIL of sysexits.h.
inline constexpr int exit_to_requeue = 75;

// Options with everything decided.
struct Effective {
  std::chrono::microseconds idle_spin{50};
  std::chrono::microseconds idle_sleep{1000};
  bool pulse = true;
  std::chrono::milliseconds shutdown_grace{10'000};
  std::chrono::milliseconds team_grace{60'000};
  ForwardResults forward_results = ForwardResults::when_nearer;
  bool task_server = true;
  int slots = 1;
  bool crash_report = true;
  bool status_signal = true;
  bool detection = true;
  std::chrono::milliseconds silence{2000};
  std::chrono::milliseconds lease{30'000};
  std::chrono::seconds start_limit{300};
  bool drain_signals = true;
  std::chrono::seconds walltime{0};
  std::chrono::seconds walltime_margin{60};
  std::string hub;
  Keep keep = Keep::failures;
  int capture = 0;
  bool stream_output = false;
  bool banner = false;
};

// The program's value, else the environment's, else the default. Throws UsageError naming the variable and what it should hold.
Effective decide(const Options& options);

// One line for each option: its variable and its effective value.
std::string to_string(const Effective& options);

}  // namespace rankview::detail

namespace rankview::inline abi_0_1 {

// When the job is over, by the option, or by what Slurm says; nothing if nobody says. `began`: when the run did.
std::optional<std::chrono::steady_clock::time_point> end_of_job(const detail::Effective& options,
                                                                std::chrono::steady_clock::time_point began);

// Has a run on rank 0 drain when a signal says so, or the end of the job is near, and end if it does not by itself. From a thread of its
// own.
class DrainWatch {
 public:
  // What is done, in this order, each at most once; the first and the last are told why it drains. The last does not return.
  struct Steps {
    std::function<void(const std::string& why)> drain;
    std::function<void()> hurry;
    std::function<void(const std::string& why)> end;
  };

  DrainWatch(const detail::Effective& options, std::optional<std::chrono::steady_clock::time_point> end_of_job, Steps steps);
  DrainWatch(const DrainWatch&) = delete;
  DrainWatch& operator=(const DrainWatch&) = delete;
  ~DrainWatch();

 private:
  using Time = std::chrono::steady_clock::time_point;

  void watch();
  void on_signal(const std::string& name);
  void do_next(const std::string& why);

  const Steps steps_;
  const std::chrono::milliseconds grace_;
  std::optional<Time> due_[3];  // when each is done if nothing happens
  int next_ = 0;                // of these
  std::string why_;             // it drains
  const pid_t process_;
  const int told_;  // an eventfd
  std::optional<DrainSignals> signals_;
  std::thread thread_;
};

}  // namespace rankview

#include <rankview/metadata.hpp>

namespace rankview::inline abi_0_1::detail {

// What is known of one item; a map of ten million has ten million of these.
struct ItemRecord {
  std::int64_t started = 0;  // nanoseconds of the wall clock, 0 for not yet
  std::int64_t completed = 0;
  std::int64_t received = 0;
  std::int32_t engine = -1;
  std::uint16_t attempts = 0;
  Status status = Status::waiting;
};

}  // namespace rankview::detail

#include <rankview/key_function.hpp>

namespace rankview::checkpoint {
class Checkpoint;
}

namespace rankview::inline abi_0_1::detail {

class Call;

namespace checkpoint = rankview::checkpoint;

// Results of earlier runs, of consecutive items of a call, behind each other.
struct Recalled {
  struct Part {
    checkpoint::Key key;
    std::size_t size = 0;
    bool failed = false;  // it is the text of an error
  };

  std::vector<Part> parts;
  Buffer bytes;
};

// What a call has whose results are looked for and kept in a checkpoint (Flags::checkpoint). Set before the submission, but for the keys.
struct Checkpointed {
  std::shared_ptr<checkpoint::Checkpoint> in;
  checkpoint::Callable as;
  std::uint32_t callable = 0;  // its number there
  KeyFunction key;             // of its arguments, where the user says what identifies an item
  bool strict = false;
  bool retry_failed = true;
  std::vector<checkpoint::Key> keys;  // of the items, under the controller's lock
};

// One of them has failed.
void note_failure(const Checkpointed& call, std::uint64_t item, const std::string& why);

// Makes the keys of a call's items.
class Keys {
 public:
  // Of what is called so, by that name and in that version.
  Keys(const Call& call, const checkpoint::Callable& as);

  // The key of an item whose arguments were written behind the mark, `skipped` bytes later. Throws what the user's function throws.
  [[nodiscard]] checkpoint::Key of(const Writer& arguments, const Writer::Mark& mark, std::size_t skipped) const;

 private:
  const KeyFunction& function_;
  std::uint64_t seed_;
};

}  // namespace rankview::detail

#include <rankview/detail/call.hpp>

// What the controller knows of few calls.
namespace rankview::inline abi_0_1::detail {

// An item that a team of engines runs, while some of them have not ended it.
struct TeamItem {
  std::size_t pending = 0;
  std::exception_ptr error;
  bool again = false;  // one of them has died, and when the others have ended it, it is to be run anew; whatever they say of it
};

// How an item has fared so far that was not run to its end the first time.
struct Attempts {
  std::vector<int> tried;    // engines where it failed
  std::vector<int> refused;  // engines whose predicate said no
  std::vector<std::string> errors;
  std::vector<std::string> deaths;  // engines that have died while they ran it, each with how
  bool suspect = false;             // an engine has died that had it and others, and nobody knows which of them ran
};

// An error that may be of a class of the program's, and what it says.
struct ToldError {
  std::exception_ptr error;
  std::string text;
};

// A call some of whose arguments are results: when these are there, encode() makes its one item.
struct Deferred {
  Dependency arguments{};
  EncodeArguments encode{};
  bool plain = false;    // which runs no code of the user's
  bool by_value = true;  // as it is encoded now
  std::uint64_t first_ticket = 0;
  std::vector<std::int32_t> holders{};  // engines that deliver arguments of it as it is encoded now, under the tickets from that one on
  int placed = -1;                      // the engine that it was left to, which has a long argument
};

using PublishedValues = std::map<std::string, std::shared_ptr<const PublishedValue>, std::less<>>;

// What the last attempt at an item has printed that has printed anything.
struct PrintedBy {
  unsigned attempt = 0;
  std::map<int, capture::Texts> engines;  // one, but for teams
};

// Indices of items in the order in which they end, for whoever reads them so.
struct CompletionFeed {
  std::deque<std::uint64_t> ended;
};

// A feed that a call tells the ends of its items, item 0 as number `first`; several calls may share one.
struct Feeding {
  std::weak_ptr<CompletionFeed> feed;
  std::uint64_t first = 0;
};

// What few calls have. Set before the submission: the first four; the rest is under the controller's lock.
struct Uncommon {
  std::string label;
  std::vector<std::vector<int>> teams;  // where each item is run by one of these
  Deferred deferred;
  Rare<Checkpointed> checkpointed;

  Rare<std::map<int, std::uint64_t>> team_numbers;     // of these teams, by engine
  Rare<std::map<std::uint64_t, TeamItem>> team_items;  // those that are being run
  Rare<std::map<std::uint64_t, Attempts>> attempts;    // by item, of those that failed before or were refused
  std::uint64_t given_back = 0;                        // items that the run did not come to
  std::exception_ptr doomed;                           // its items cannot run
  Rare<std::vector<ToldError>> told;                   // of its errors, those that are not made by rankview
  Rare<std::set<std::uint64_t>> given_up;              // items that were given up one by one when an engine had them
  std::vector<Feeding> feeds;
  std::vector<std::shared_ptr<Continuation>> continuations;
  Rare<std::map<std::uint64_t, PublishedValues>> published;          // by item
  Rare<std::map<std::uint64_t, PrintedBy>> printed;                  // likewise
  std::vector<int> object_holders;                                   // engines that hold the callable's state
  Rare<std::set<std::pair<std::uint64_t, std::uint64_t>>> subtasks;  // by item, the calls in flight that its task has submitted
};

}  // namespace rankview::detail

// What the runtime knows of a call.
namespace rankview::inline abi_0_1::detail {

struct ShippedCode;

// The records of a call's items. A single one, which most calls have, lies in the call.
class Items {
 public:
  Items() = default;
  Items(const Items&) = delete;
  Items& operator=(const Items&) = delete;

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t capacity() const { return many_->capacity(); }
  ItemRecord& operator[](std::size_t i) { return data_[i]; }
  const ItemRecord& operator[](std::size_t i) const { return data_[i]; }
  [[nodiscard]] const ItemRecord* begin() const { return data_; }
  [[nodiscard]] const ItemRecord* end() const { return data_ + size_; }

  void reserve(std::size_t size) {
    if (size > 1) many_.edit().reserve(size);
  }
  // Items come, and never go.
  void resize(std::size_t size) {
    if (size > 1) {
      std::vector<ItemRecord>& many = many_.edit();
      if (size_ == 1 && many.empty()) many.push_back(one_);
      many.resize(size);
      data_ = many.data();
    }
    size_ = size;
  }

 private:
  std::size_t size_ = 0;
  ItemRecord* data_ = &one_;
  ItemRecord one_;
  Rare<std::vector<ItemRecord>> many_;
};

// On what terms the scheduler may run a call's items; see Flags.
struct Terms {
  int retries = 0;
  std::int64_t timeout = 0;        // nanoseconds, 0 for none
  std::int64_t queue_timeout = 0;  // likewise
  std::int32_t priority = 0;
  std::uint32_t hwm = 0;
  std::uint8_t policy = 0;
  bool (*predicate)() = nullptr;
  Isolation isolation = Isolation::none;
  std::uint64_t memory_limit = 0;  // bytes, 0 for none
  double memory_growth = 1;        // from one attempt to the next
  std::uint16_t slots = 1;         // isolated: of an engine's
  OnEngineDeath on_engine_death = OnEngineDeath::rerun;
  int crash_limit = 3;

  friend bool operator==(const Terms&, const Terms&) = default;
};

// What becomes of a call. The first few are set before the submission; the rest is under the controller's lock, but for what is atomic.
struct CallLife {
  Rare<Terms> terms;
  const ShippedCode* code = nullptr;  // of the function
  bool subtask = false;               // an engine's task submitted it, and gets its result, encoded flat
  bool answered = false;              // it has got it
  bool checkpointed = false;          // results are looked for in a checkpoint, and kept there
  bool saves = false;                 // results are kept: there, or in the database of tasks
  std::uint64_t submitter = 0;        // the thread that submitted it
  std::int64_t submitted = 0;         // nanoseconds of the wall clock
  Rare<Uncommon> more;                // what few calls have

  std::vector<ArgumentBlock> blocks;
  Items items;
  Rare<std::map<std::uint64_t, std::exception_ptr>> errors;  // by item
  std::exception_ptr failure;                                // of a collective call as a whole
  std::uint64_t team = 0;                                    // where the call is handed out to one
  std::int64_t last_received = 0;
  std::uint32_t node = static_cast<std::uint32_t>(-1);  // among the dependencies, if it has or is one
  std::int32_t cached_on = -1;                          // the engine that may still have its only result, which is long
  bool waits = false;                                   // for others
  bool laid_out = false;                                // its items are all there
  bool aborted = false;                                 // given up as a whole
  bool in_flight = false;                               // it has not ended
  bool has_handles = false;                             // an AsyncResult will refer to it; false for `_sync`, whose call goes at its end
  bool abandoned = false;                               // nobody has a handle any more
  std::atomic<bool> sealed{false};                      // no more items will come, and rank 0's own part is over
  std::atomic<bool> error_seen{false};                  // somebody looked at how it ended
  std::atomic<std::uint64_t> ended{0};
  CallSlot* slot = nullptr;
  std::shared_ptr<Call> self;  // until it has ended, and its handles have gone

  [[nodiscard]] bool done() const {
    return sealed.load(std::memory_order_acquire) && ended.load(std::memory_order_acquire) == items.size();
  }
};

}  // namespace rankview::detail

#include <rankview/task_id.hpp>

namespace rankview::controller {

// Items that an engine had when it was set aside, and of which it may still say something when it answers again. The scheduler does not
// count them any more. An item may be here several times, since the engine may be given it anew; it says something of the oldest first.
class LateItems {
 public:
  // `given_away`: others run it, and what the engine says of it is not wanted.
  void add(int engine, const TaskId& task, bool given_away) { items_[engine][task].push_back(given_away); }
  [[nodiscard]] bool any() const { return !items_.empty(); }
  [[nodiscard]] bool any(int engine) const { return items_.contains(engine); }

  // The engine says something of an item for the last time. Nothing if it is none of these, else whether it was given away.
  std::optional<bool> take(int engine, const TaskId& task) {
    const auto of_engine = items_.find(engine);
    if (of_engine == items_.end()) return std::nullopt;
    const auto found = of_engine->second.find(task);
    if (found == of_engine->second.end()) return std::nullopt;
    const bool given_away = found->second.front();
    found->second.pop_front();
    if (found->second.empty()) of_engine->second.erase(found);
    if (of_engine->second.empty()) items_.erase(of_engine);
    return given_away;
  }
  // The same, where more will be said.
  [[nodiscard]] bool given_away(int engine, const TaskId& task) const {
    const auto of_engine = items_.find(engine);
    if (of_engine == items_.end()) return false;
    const auto found = of_engine->second.find(task);
    return found != of_engine->second.end() && found->second.front();
  }

  // So many of the items that the engine has begun wait for others.
  void note_suspended(int engine, std::uint64_t items) { suspended_[engine] = items; }
  // Of those, how many the scheduler counts, as far as that is known.
  [[nodiscard]] std::uint64_t suspended(int engine) const {
    const auto told = suspended_.find(engine);
    const std::uint64_t all = told == suspended_.end() ? 0 : told->second;
    std::uint64_t late = 0;
    if (const auto of_engine = items_.find(engine); of_engine != items_.end()) {
      for (const auto& [task, attempts] : of_engine->second) late += attempts.size();
    }
    return all - std::min(all, late);
  }

  // The engine has died. Gives what nobody else has been given.
  std::vector<TaskId> lose(int engine) {
    std::vector<TaskId> left;
    const auto of_engine = items_.find(engine);
    if (of_engine == items_.end()) return left;
    for (const auto& [task, attempts] : of_engine->second) {
      if (!attempts.back()) left.push_back(task);
    }
    items_.erase(of_engine);
    return left;
  }

 private:
  std::map<int, std::map<TaskId, std::deque<bool>>> items_;  // by engine; whether each attempt was given away
  std::map<int, std::uint64_t> suspended_;                   // what engines have said last
};

}  // namespace rankview::controller

namespace rankview::liveness {

// What has been noticed of a peer's life.
struct Sign {
  enum class Kind : std::uint8_t {
    died,     // it has ended, and nothing more will come of it
    silent,   // it has said nothing for too long: it is stopped, or cannot be reached
    answers,  // it was silent, and says something again
  };
  Kind kind = Kind::died;
  int peer = -1;
  std::string seen;  // in words
  int signal = 0;    // that has ended it, as far as it could tell
  TaskId task{};     // that it ran then, likewise
};

// Signs on their way from who notices them to who drives. Thread-safe.
class Signs {
 public:
  Signs() = default;
  Signs(const Signs&) = delete;
  Signs& operator=(const Signs&) = delete;

  // Whether there are any; asked in every round.
  [[nodiscard]] bool any() const { return any_.load(std::memory_order_relaxed); }
  // Those since the last time, in order.
  std::vector<Sign> take() {
    const std::lock_guard guard(mutex_);
    any_.store(false, std::memory_order_relaxed);
    return std::exchange(signs_, {});
  }

  void add(Sign sign) {
    const std::lock_guard guard(mutex_);
    if (sign.kind == Sign::Kind::died) deaths_.push_back(sign);
    signs_.push_back(std::move(sign));
    any_.store(true, std::memory_order_relaxed);
    if (wake_) wake_();
  }
  // Somebody else listens from here on, who hears of those that have died before, too. `wake` is called behind each sign, in whatever
  // thread has noticed it.
  void listen(std::function<void()> wake) {
    const std::lock_guard guard(mutex_);
    wake_ = std::move(wake);
    signs_ = deaths_;
    any_.store(!signs_.empty(), std::memory_order_relaxed);
  }
  // Nobody does.
  void listen_no_more() {
    const std::lock_guard guard(mutex_);
    wake_ = nullptr;
  }

 private:
  std::atomic<bool> any_{false};
  std::mutex mutex_;
  std::vector<Sign> signs_;
  std::vector<Sign> deaths_;  // all that there were
  std::function<void()> wake_;
};

}  // namespace rankview::liveness

#include <rankview/lost_engine.hpp>

namespace rankview::controller {

class Engines;

// Engines that have died or do not answer: what is known of each, what follows for the tasks that they had, and who wants to hear of it.
class Losses {
 public:
  explicit Losses(const Engines& engines) : engines_(engines) {}

  // What was noticed of an engine.
  LostEngine& note(int engine, const liveness::Sign& sign, bool aside);
  // Whether there were any; may be asked without the lock.
  [[nodiscard]] bool any() const { return any_.load(std::memory_order_acquire); }
  // How many have died.
  [[nodiscard]] std::uint64_t deaths() const;
  [[nodiscard]] LostEngine& at(int engine) { return lost_.at(engine); }
  // It answers again.
  void forget(int engine) { lost_.erase(engine); }
  [[nodiscard]] std::vector<LostEngine> list() const;
  // In words: which engine, where, and what was noticed of it. The engine is one of those.
  [[nodiscard]] std::string describe(int engine) const;
  // The error of what was for that engine, or ran there.
  [[nodiscard]] std::exception_ptr error(int engine, const TaskId& task, const std::string& why) const;

  // What may still be said of items by those that do not answer.
  [[nodiscard]] LateItems& late() { return late_; }

  // What becomes of a task that an engine had when it died.
  enum class Verdict : std::uint8_t { rerun, fail };
  // `ran`: it is known to have run then. `suspect`: it, or another, has.
  [[nodiscard]] static Verdict judge(detail::Call& call, std::uint64_t item, bool ran, bool suspect, const std::string& death);

  // What the client wants done when an engine is lost. Copied as it stands, not by the program's code.
  using Listener = std::shared_ptr<const std::function<void(const LostEngine&)>>;
  void on_lost(Listener f) { listeners_.push_back(std::move(f)); }
  [[nodiscard]] const std::vector<Listener>& listeners() const { return listeners_; }

 private:
  const Engines& engines_;
  std::map<int, LostEngine> lost_;  // by engine
  std::atomic<bool> any_{false};
  LateItems late_;
  std::vector<Listener> listeners_;
};

}  // namespace rankview::controller

namespace rankview::transport {

// Data on its way into place.
class Transfer {
 public:
  virtual ~Transfer() = default;
  // Whether all has arrived, or left. Does not wait.
  virtual bool done() = 0;
};

}  // namespace rankview::transport

#include <rankview/detail/collective.hpp>

namespace rankview::transport {

using detail::Buffer;
using detail::Deal;
using detail::Element;
using detail::Operation;

// What an engine says before a collective.
struct Vote {
  std::int64_t ready = 0;  // 1: it can take part
  std::uint64_t count = 0;
};

// And what rank 0 makes of all votes.
struct Verdict {
  std::int64_t go = 0;
  std::uint64_t total = 0;
};

// Rank 0 and the engines of a view, in target order, as one of them sees them. Nothing here waits: what is begun is over when the Transfer
// is done. All members begin the same things in the same order; what is passed must live until then.
//
// Members are numbered as MPI ranks of the communicator with rank 0: the engine at place i of the view is member i + 1.
class Team {
 public:
  using Begun = std::unique_ptr<Transfer>;

  virtual ~Team() = default;

  [[nodiscard]] virtual int member() const = 0;
  [[nodiscard]] virtual int members() const = 0;  // rank 0 included
  [[nodiscard]] std::size_t engines() const { return static_cast<std::size_t>(members()) - 1; }

  // ---- with rank 0 as the root ----
  virtual Begun gather_votes(const Vote& own, std::span<Vote> all) = 0;  // `all`: on rank 0, by member
  virtual Begun announce(Verdict& verdict) = 0;
  virtual Begun broadcast(std::byte* data, std::uint64_t bytes) = 0;
  virtual Begun scatter(const std::byte* from, std::byte* to, const Deal& deal) = 0;
  // `counts`: on rank 0, of the engines in order; their sum is the deal's total.
  virtual Begun gather(const std::byte* from, std::byte* to, std::uint64_t own, std::span<const std::uint64_t> counts,
                       const Deal& deal) = 0;
  // Rank 0 puts in what `data` holds there, and has the result in its place.
  virtual Begun reduce(std::byte* data, std::uint64_t count, Element element, Operation operation) = 0;

  // ---- among the engines ----
  virtual Begun barrier() = 0;
  virtual Begun allreduce(const std::byte* from, std::byte* to, std::uint64_t count, Element element, Operation operation) = 0;
  virtual Begun allgather_counts(const std::uint64_t& own, std::span<std::uint64_t> counts) = 0;
  virtual Begun allgather(const std::byte* from, std::byte* to, std::size_t place, std::span<const std::uint64_t> counts,
                          std::uint64_t element_bytes) = 0;
  virtual Begun share(std::byte* data, std::uint64_t bytes, std::size_t source) = 0;
  virtual Begun send(std::size_t to, std::span<const std::byte> bytes) = 0;
  // Null while nothing has come.
  virtual Begun receive(std::size_t from, Buffer& into) = 0;

  // Tells all engines whether each is well: `ill` is how many are not.
  virtual Begun count_ill(std::int64_t& ill) = 0;

  // A communicator of the engines alone, for callables. All of them make it together, which waits for them, and drop it together.
  virtual void make_communicator() = 0;
  virtual void drop_communicator() = 0;
  [[nodiscard]] virtual bool has_communicator() const = 0;
  virtual const boost::mpi::communicator& communicator() = 0;
};

// A team that is being made. Who drops it before it is done has no part in that any more, which may never end.
class Assembly {
 public:
  virtual ~Assembly() = default;

  // Throws MpiError.
  virtual bool done() = 0;
  // Then, once.
  virtual std::unique_ptr<Team> take() = 0;
};

}  // namespace rankview::transport

#include <iterator>

namespace rankview::transport {

using detail::Attachment;
using detail::Buffer;
using detail::Claims;
using detail::Writer;

// Goes before every message on the wire.
struct FrameHeader {
  std::uint64_t size = 0;  // of what follows: records, then the sizes of the attachments
  std::uint32_t tag = 0;   // of what travels separately
  std::uint32_t attachments = 0;
};

// A message under construction: a Writer with room for the header before its records.
class Message : public Writer {
 public:
  Message() { bytes.extend(sizeof(FrameHeader)); }
  explicit Message(Buffer recycled) {
    bytes = std::move(recycled);
    bytes.clear();
    bytes.extend(sizeof(FrameHeader));
  }
  [[nodiscard]] bool empty() const { return bytes.size() <= sizeof(FrameHeader); }
  [[nodiscard]] std::size_t size() const { return bytes.size() - sizeof(FrameHeader); }
};

// A message that has arrived. What it points to is valid while its handler runs, unless the handler takes it.
struct Frame {
  int peer = -1;
  std::span<const std::byte> records;
  std::span<const std::uint64_t> attachment_sizes;
  Buffer* owned = nullptr;  // holds `records`, and may be moved from

  // How to get at the attachments: by tag from another process, in place from this one.
  std::uint32_t tag = 0;
  Writer* local = nullptr;  // whoever keeps the frame moves from this too
};

class FrameHandler {
 public:
  // Must not throw.
  virtual void on_frame(Frame& frame) = 0;

 protected:
  ~FrameHandler() = default;
};

// One end of the connection between the controller and its engines. Peers are numbered by rank. Calls on one endpoint must not overlap, but
// for assemble(). None of them waits for a peer, but for that. Errors of MPI are thrown as MpiError.
class Endpoint {
 public:
  virtual ~Endpoint() = default;

  // Frames between two ends arrive in the order in which they were sent.
  virtual void send(int peer, Message&& message) = 0;

  // Receives what has arrived, a message or a few, and completes what was sent. Whether anything happened; then there may be more.
  virtual bool poll(FrameHandler& handler) = 0;

  // Receives the attachments of a frame into `places`, which are as many as there are attachments, or fewer: the rest is received and
  // dropped. Must be called once for each frame with attachments, while it is handled or, for a frame that was kept, later.
  virtual std::unique_ptr<Transfer> receive(const Frame& frame, const std::vector<Claims::Place>& places) = 0;

  // Makes a team of rank 0 and these engines, given as peers, in this order. All of them must call it, with the same `turn`, of those
  // teams that any two of them make at a time the only one; waits until they do. Turns of later teams are higher.
  virtual std::unique_ptr<Team> assemble(std::uint64_t turn, const std::vector<int>& engines) = 0;
  // The same for rank 0, which goes on meanwhile where MPI allows that: should one of the engines die just then, it is never done. The next
  // may begin when this is done or has been given up.
  virtual std::unique_ptr<Assembly> begin_assembly(std::uint64_t turn, const std::vector<int>& engines);

  // The peer has died: gives up what is on its way to it and from it, and takes in nothing of it any more. What belonged to messages to it
  // is kept, since MPI may still read it; transfers from it are not to be waited for. Nothing to do where peers cannot die.
  virtual void forget(int /*peer*/) {}

  // Whether everything that was sent has left.
  [[nodiscard]] virtual bool flushed() const = 0;

  // Nothing was there to poll: passes some time until there may be. Whether the caller slept.
  virtual bool doze(Idle& idle);

  // An empty message, from memory that was used before.
  virtual Message message() { return {}; }

  // What belonged to messages that have left, and may be the user's: for the caller to let go of where it holds no lock.
  [[nodiscard]] bool anything_sent() const { return !sent_.empty(); }
  std::vector<std::shared_ptr<const void>> take_sent() { return std::exchange(sent_, {}); }

 protected:
  // The message has left, or has been taken in.
  void note_sent(Message& message) {
    sent_.insert(sent_.end(), std::make_move_iterator(message.kept.begin()), std::make_move_iterator(message.kept.end()));
    message.kept.clear();
  }

 private:
  std::vector<std::shared_ptr<const void>> sent_;
};

inline std::unique_ptr<Assembly> Endpoint::begin_assembly(std::uint64_t turn, const std::vector<int>& engines) {
  class AtOnce final : public Assembly {
   public:
    explicit AtOnce(std::unique_ptr<Team> team) : team_(std::move(team)) {}
    bool done() override { return true; }
    std::unique_ptr<Team> take() override { return std::move(team_); }

   private:
    std::unique_ptr<Team> team_;
  };
  return std::make_unique<AtOnce>(assemble(turn, engines));
}

inline bool Endpoint::doze(Idle& idle) {
  const auto pause = idle.pause();
  if (pause.count() == 0) return false;
  nap(pause);
  return true;
}

}  // namespace rankview::transport

#include <rankview/detail/code_address.hpp>

#include <variant>

// What controller and engines say to each other. A message is a sequence of records; this is their layout, in native byte order,
// since all ranks run the same build. Pure: no MPI, no threads, no clock.
namespace rankview::wire {

using detail::CodeAddress;
using detail::Reader;
using detail::Writer;

// ---- controller to engine -----------------------------------------------------------------------------------------------------

// Run items [first, first + count) of a call. Their arguments lie one after the other: each of `stride` bytes, or, with a stride
// of 0, each behind its size.
struct Batch {
  CodeAddress thunk;
  CodeAddress function{};  // zero where the callable is no function pointer
  std::uint64_t call = 0;
  bool has_object = false;  // the callable's state was sent before, in a CallableState of this call
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::uint64_t stride = 0;
  std::span<const std::byte> items;
  std::uint64_t team = 0;          // the engines that run it together, or 0
  std::uint64_t votes = 0;         // each of them tells rank 0 first whether it can take part, in so many rounds
  bool communicator = false;       // each item is run with a communicator of the team
  bool first_only = false;         // only the result of the team's first engine is wanted
  CodeAddress predicate{};         // a bool() to be asked before each item, or zero
  std::int64_t timeout = 0;        // nanoseconds that an item may run, or 0
  bool flat = false;               // arguments and results lie in the message, whatever their size
  bool movable = false;            // other engines may run what has not begun
  bool slow = false;               // it may take long: results of what went before are sent first
  bool keep = false;               // if the result is long, it may be wanted here as an argument
  bool isolated = false;           // each item runs in a process of its own
  bool forked = false;             // which is a child of the engine, and has its variables
  std::uint64_t memory_limit = 0;  // isolated: bytes that an item may use, or 0
  bool awaits = false;             // other engines deliver some of the arguments
  std::uint64_t first_ticket = 0;
  std::vector<std::int32_t> holders{};  // which engine delivers under each ticket from the first on
};

// The result of a call that this engine has kept is to be delivered to another one.
struct Forward {
  std::uint64_t call = 0;
  std::uint64_t ticket = 0;
  std::uint64_t to = 0;  // engine
};

// The state of a call's callable.
struct CallableState {
  std::uint64_t call = 0;
  std::span<const std::byte> state;
};

// Items [first, first + count) of a call are not wanted any more: those that have not begun shall not, one that runs is told.
struct Stop {
  std::uint64_t call = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};

// Consecutive items of a call.
struct Items {
  std::uint64_t call = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::uint64_t whole = 0;  // all or none of them

  friend bool operator==(const Items&, const Items&) = default;
};

// How a Subtask of this engine's ended: its encoded value, or a Failure.
struct SubtaskResult {
  std::uint64_t ticket = 0;
  std::uint64_t failed = 0;
  std::span<const std::byte> value;
};

// Others have nothing to do: what has not begun of these is to be given back.
struct Recall {
  std::vector<Items> items;
};

// The call is over: its CallableState may go.
struct DropCallable {
  std::uint64_t call = 0;
};

enum class Ending : std::uint64_t { completed, failed };

// These engines, in this order, are to be known as a team from here on. Making it takes all of them at once: each says that it is at it,
// and goes on when it is told to.
struct Join {
  std::uint64_t team = 0;
  std::vector<std::int32_t> engines;
};

// All engines of the team are at it; rank 0 begins, too.
struct Assemble {
  std::uint64_t team = 0;
  std::uint64_t turn = 0;  // of the teams that are made, in the order in which rank 0 begins that
};

// The team will not be asked for any more.
struct Disband {
  std::uint64_t team = 0;
};

// An engine has died: nothing comes from it any more, and what several were to do with it does not come about.
struct Lost {
  std::int64_t engine = 0;
};

// No more batches come. After Ending::failed, those that have not begun shall not.
struct End {
  Ending ending = Ending::completed;
  std::int64_t exit_code = 0;
  std::string reason;
  std::uint64_t losses = 0;  // engines that have died
};

// ---- engine to engine ----------------------------------------------------------------------------------------------------------

// Answers a Forward: the encoded result, or that it is not there any more.
struct Delivery {
  std::uint64_t ticket = 0;
  std::uint64_t found = 0;
  std::span<const std::byte> value;
};

// ---- engine to controller -----------------------------------------------------------------------------------------------------

// How items [first, first + count) of a call ended, in the order in which they ran. `started` is when the first began; each of the
// others began when the one before had ended. Read the items with ResultCursor.
struct Results {
  std::uint64_t call = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::int64_t started = 0;  // nanoseconds of the wall clock
  std::span<const std::byte> items;
};

// The answer to a Recall: what will not be run here. May be nothing.
struct Returned {
  std::vector<Items> items;
};

// A task submits another: the engine's number for it, and what a Batch of one item would have.
struct Subtask {
  std::uint64_t ticket = 0;
  CodeAddress thunk;
  CodeAddress function{};
  std::uint64_t parent_call = 0;  // the task that submits it
  std::uint64_t parent_item = 0;
  std::uint64_t stride = 0;
  std::span<const std::byte> object;
  std::span<const std::byte> item;
};

// So many of the items that the engine has begun wait for subtasks; it could run something else meanwhile.
struct Suspended {
  std::uint64_t items = 0;
};

// An item has run for longer than its batch allows, and goes on. Its result comes when it has ended, and will be a Failure.
struct Overdue {
  std::uint64_t call = 0;
  std::uint64_t item = 0;
};

// The engine has come to the Join of a team, and waits.
struct TeamReady {
  std::uint64_t team = 0;
};

// What the engine's variables take, told now and then.
struct Memory {
  std::uint64_t variables = 0;
  std::uint64_t bytes = 0;
};

// A task that runs has this to tell.
struct Published {
  std::uint64_t call = 0;
  std::uint64_t item = 0;
  std::string name;
  std::string type;  // of the value, as std::type_info names it
  std::span<const std::byte> value;
};

// What an item that has ended there has printed. Comes before its result, if there is anything.
struct Printed {
  std::uint64_t call = 0;
  std::uint64_t item = 0;
  std::span<const std::byte> out;
  std::span<const std::byte> err;
};

// The engine's last word.
struct Bye {};

using Record = std::variant<Batch, CallableState, Stop, Recall, SubtaskResult, DropCallable, Forward, Join, Assemble, Disband, Lost, End,
                            Delivery, Results, Returned, Subtask, Suspended, Overdue, TeamReady, Memory, Published, Printed, Bye>;

// Appends a record. A SubtaskResult, Subtask, Batch, Delivery, CallableState, Published, Printed or Results refers to bytes that are copied
// into the message behind it.
void write(Writer& out, const Batch& record);
void write(Writer& out, const CallableState& record);
void write(Writer& out, const Stop& record);
void write(Writer& out, const SubtaskResult& record);
void write(Writer& out, const Recall& record);
void write(Writer& out, const DropCallable& record);
void write(Writer& out, const Forward& record);
void write(Writer& out, const Delivery& record);
void write(Writer& out, const Join& record);
void write(Writer& out, const Assemble& record);
void write(Writer& out, const Disband& record);
void write(Writer& out, const Lost& record);
void write(Writer& out, const Returned& record);
void write(Writer& out, const Subtask& record);
void write(Writer& out, const Suspended& record);
void write(Writer& out, const Overdue& record);
void write(Writer& out, const TeamReady& record);
void write(Writer& out, const Memory& record);
void write(Writer& out, const Published& record);
void write(Writer& out, const Printed& record);
void write(Writer& out, const End& record);
void write(Writer& out, const Bye& record);

// The next record of a message. What it refers to stays in the reader's bytes. Throws DecodeError for anything that write() would not have
// written.
Record read(Reader& in);

// Walks the arguments of a batch.
class ItemCursor {
 public:
  explicit ItemCursor(const Batch& batch) : in_(batch.items), stride_(batch.stride) {}
  std::span<const std::byte> next() {
    return in_.take(stride_ != 0 ? static_cast<std::size_t>(stride_) : static_cast<std::size_t>(in_.value<std::uint64_t>()));
  }

 private:
  Reader in_;
  std::uint64_t stride_;
};

// One item among Results: its encoded value, or its Failure.
struct ItemResult {
  std::int64_t completed = 0;  // nanoseconds of the wall clock
  bool failed = false;
  std::span<const std::byte> value;
};

class ResultCursor {
 public:
  explicit ResultCursor(const Results& results) : in_(results.items) {}
  ItemResult next() {
    ItemResult item;
    item.completed = in_.value<std::int64_t>();
    const auto size = in_.value<std::uint64_t>();
    item.failed = (size & 1U) != 0;
    item.value = in_.take(static_cast<std::size_t>(size >> 1U));
    return item;
  }

 private:
  Reader in_;
};

// Builds Results item by item.
class ResultsWriter {
 public:
  explicit ResultsWriter(Writer& out) : out_(&out) {}

  // Continues the open record if the item is the next one of the same call, else begins a new one.
  void add(std::uint64_t call, std::uint64_t item, std::int64_t started, std::int64_t completed, bool failed,
           std::span<const std::byte> value);
  // What comes next goes into a new record.
  void close() { open_ = false; }

 private:
  Writer* out_;
  bool open_ = false;
  std::size_t header_ = 0;
  std::uint64_t call_ = 0;
  std::uint64_t next_ = 0;
  std::uint64_t count_ = 0;
};

// What is sent of an exception.
// `stood_back`: the engine itself could have taken part in a collective that did not come about. `stopped`: it was told in time not to
// begin. `refused`: its predicate said no. `timed_out`: it ran for too long. `team_broken`: an engine has died that it ran it with.
enum class FailureKind : std::uint8_t {
  exception,
  name,
  type,
  stood_back,
  stopped,
  refused,
  timed_out,
  gone,
  crashed,
  killed,
  team_broken
};

struct Failure {
  FailureKind kind = FailureKind::exception;
  std::string type_name;
  std::string message;
  // crashed: how the process ended, and how much memory it had at most.
  std::int32_t signal = 0;
  std::int32_t exit_status = 0;
  std::uint64_t peak_memory = 0;
};

void write(Writer& out, const Failure& failure);
Failure read_failure(Reader& in);

}  // namespace rankview::wire

namespace rankview::controller {

// Who an engine is.
struct EngineInfo {
  int peer = 0;  // at the controller's endpoint
  int rank = 0;  // in the cluster's communicator
  std::string host;
  long pid = 0;
  std::uint64_t machine = 0;  // which it is on
  std::uint16_t slots = 1;    // so much isolated work it runs side by side
};

// What has become of the tasks that an engine ran last, in this run, and what it told of its variables.
struct Account {
  std::uint64_t completed = 0;
  std::uint64_t failed = 0;
  wire::Memory memory;

  void count(Status ended) { ++(ended == Status::completed ? completed : failed); }
};

// The engines of a run: who they are, what goes to each of them next, and what is known of them. They are numbered from 0; peers are the
// endpoint's names for them, which nobody else needs to know.
//
// Records for an engine are collected in one message, so that what a round of the controller decides travels together.
class Engines {
 public:
  Engines(transport::Endpoint& endpoint, std::vector<EngineInfo> roster);
  Engines(const Engines&) = delete;
  Engines& operator=(const Engines&) = delete;
  ~Engines() = default;

  [[nodiscard]] int count() const { return static_cast<int>(all_.size()); }
  [[nodiscard]] const EngineInfo& operator[](int engine) const { return at(engine).info; }
  // The engine that a peer is. Throws DecodeError if it is none.
  [[nodiscard]] int by_peer(int peer) const;

  // The engine has died: what is written to it from here on goes nowhere. False if that was known.
  bool lose(int engine);
  [[nodiscard]] bool lost(int engine) const { return at(engine).state == State::lost; }
  // The engine does not answer, or does again: it may still be told things, which it will hear when it goes on.
  void set_aside(int engine) { at(engine).state = State::aside; }
  void take_back(int engine) { at(engine).state = State::live; }
  [[nodiscard]] bool live(int engine) const { return at(engine).state == State::live; }
  // Those that live, in ascending order.
  [[nodiscard]] std::vector<int> live() const;

  // The message that the next send() takes to the engine, to write records to.
  transport::Message& to(int engine);
  void send(int engine);
  [[nodiscard]] bool anything_to_send() const { return !to_send_.empty(); }
  void send_all() {
    for (; !to_send_.empty(); to_send_.pop_back()) send(to_send_.back());
  }

  // Those that have died or do not answer.
  [[nodiscard]] Losses& losses() { return losses_; }
  [[nodiscard]] const Losses& losses() const { return losses_; }
  [[nodiscard]] transport::Endpoint& endpoint() { return endpoint_; }

  [[nodiscard]] Account& account(int engine) { return at(engine).account; }
  [[nodiscard]] const Account& account(int engine) const { return at(engine).account; }

  // The engine has said that it is done with this run.
  void left(int engine);
  [[nodiscard]] bool has_left(int engine) const { return at(engine).left; }
  // Whether all have, or will not any more.
  [[nodiscard]] bool all_left() const { return left_ == all_.size(); }

 private:
  enum class State : std::uint8_t { live, aside, lost };

  struct Engine {
    EngineInfo info;
    std::optional<transport::Message> outgoing;
    Account account;
    State state = State::live;
    bool left = false;
  };

  Engine& at(int engine) { return all_[static_cast<std::size_t>(engine)]; }
  [[nodiscard]] const Engine& at(int engine) const { return all_[static_cast<std::size_t>(engine)]; }

  transport::Endpoint& endpoint_;
  std::vector<Engine> all_;
  std::vector<int> by_peer_;  // -1 where a peer is no engine
  std::vector<int> to_send_;  // engines that something was written to, and perhaps some to which it was sent already
  std::size_t left_ = 0;
  Losses losses_{*this};
  transport::Message nowhere_;  // what is written to engines that have died
};

}  // namespace rankview::controller

namespace rankview::controller {

// Hears what happens to items, ranges of them at a time, and to the run. Called with the controller's lock, so it must neither wait nor
// call back; what it is given may be looked at only meanwhile.
class Recorder {
 public:
  Recorder() = default;
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;
  virtual ~Recorder() = default;

  // These are the engines.
  virtual void run_begins(const std::vector<EngineInfo>& engines) = 0;
  // All items of the call are known. Some may have been granted before.
  virtual void submitted(const detail::Call& call) = 0;
  // An engine has been given items [begin, end), or rank 0, which is -1, has begun them.
  virtual void granted(const detail::Call& call, std::uint64_t begin, std::uint64_t end, int engine) = 0;
  // An attempt at an item has failed, and there will be another.
  virtual void retried(const detail::Call& call, std::uint64_t item) = 0;
  // Asked where an item is about to end that failed, or that has a value and is of a call that keeps these (CallLife::saves): its arguments
  // are still there. `value`: written flat, null where it has none.
  virtual void ending(const detail::Call& /*call*/, std::uint64_t /*item*/, const std::span<const std::byte>* /*value*/) {}
  // An attempt at an item has printed that on an engine. Before it has ended, or, if it has run out of time, after that.
  virtual void printed(const detail::Call& /*call*/, std::uint64_t /*item*/, int /*engine*/, const capture::Texts& /*texts*/) {}
  // Items [begin, end) have ended; their records say how.
  virtual void ended(const detail::Call& call, std::uint64_t begin, std::uint64_t end) = 0;
  // An engine has died, or does not answer. What its tasks come to is told as of any others.
  virtual void engine_lost(const LostEngine& lost) = 0;
  // The call is over: nothing more will be said of it.
  virtual void over(const detail::Call& call) = 0;
  // Nothing more will be submitted. `failed`: the client has, for that reason.
  virtual void run_ends(bool failed, const std::string& reason) = 0;
};

}  // namespace rankview::controller

namespace rankview::inline abi_0_1 {

// Tells the story of a run, a line an event.
class EventLog final : public controller::Recorder {
 public:
  // `setting`, as RANKVIEW_LOG says it: `info`, calls and what goes wrong; `debug`, also who is given what and what has ended; behind a
  // colon the name of a file to add to, instead of stderr. Throws UsageError.
  static void check(const std::string& setting);
  // Null for an empty setting, which check() has taken. A file that cannot be written to is said to be so, and stderr takes its place.
  static std::unique_ptr<EventLog> make(const std::string& setting, const transport::Clock& clock);

  void run_begins(const std::vector<controller::EngineInfo>& engines) override;
  void submitted(const detail::Call& call) override;
  void granted(const detail::Call& call, std::uint64_t begin, std::uint64_t end, int engine) override;
  void retried(const detail::Call& call, std::uint64_t item) override;
  void ended(const detail::Call& call, std::uint64_t begin, std::uint64_t end) override;
  void engine_lost(const LostEngine& lost) override;
  void over(const detail::Call& call) override;
  void run_ends(bool failed, const std::string& reason) override;

 private:
  struct Close {
    void operator()(std::FILE* file) const {
      if (file != stderr) std::fclose(file);
    }
  };
  using File = std::unique_ptr<std::FILE, Close>;

  EventLog(File file, bool details, const transport::Clock& clock)
      : file_(std::move(file)), details_(details), clock_(clock), began_(clock.now()) {}
  void say(const std::string& event);

  File file_;
  const bool details_;
  transport::Clock clock_;
  std::int64_t began_;
};

}  // namespace rankview

#include <rankview/hub.hpp>

namespace rankview::controller {

// What there is to ask of runs, this one and others before it. From any thread, but not with a lock that a client needs. Throws
// std::runtime_error.
class TaskArchive {
 public:
  using Values = std::vector<Hub::Value>;

  TaskArchive() = default;
  TaskArchive(const TaskArchive&) = delete;
  TaskArchive& operator=(const TaskArchive&) = delete;
  virtual ~TaskArchive() = default;

  // Rows of what has been put down so far. `values`: of the places that the question leaves open.
  virtual Table query(const std::string& sql, const Values& values = {}) = 0;
  // Changes some by several statements that leave the same places open: all, or none.
  virtual void change(const std::vector<std::string>& statements, const Values& values = {}) = 0;
  // The number of this run; 0 if that is not known.
  virtual std::int64_t run() = 0;
};

}  // namespace rankview::controller

// What the controller says, kept until the hub's thread comes to it. Times are nanoseconds since the epoch.
namespace rankview::hub {

struct EngineKnown {
  int rank = 0;
  std::string host;
  long pid = 0;
  unsigned slots = 1;
};

struct RunBegan {
  std::int64_t at = 0;
  std::vector<EngineKnown> engines;  // engine k is the k-th
};

struct CallMade {
  std::uint64_t call = 0;
  std::string label;
  const void* code = nullptr;  // of the function, null where that has no address
  std::string callable{};      // then its type, as std::type_info names it
  std::uint64_t tasks = 0;
  std::int64_t submitted = 0;
};

// Code, as the runtime finds it: a constant in a module, for which the linker may have a name.
struct KeptCode {
  const void* place = nullptr;  // in this process
  std::uint64_t module = 0;
  std::uint64_t offset = 0;
};

// What the tasks of a call run that are kept; it comes before the first of them.
struct CallKept {
  std::uint64_t call = 0;
  KeptCode thunk;
  KeptCode function;  // without a place where the callable is none
  std::vector<std::byte> state;
  std::string result;  // its type, as std::type_info names it
  bool direct = false;
  int isolation = 0;
  std::int64_t timeout = 0;  // nanoseconds
  std::uint64_t memory_limit = 0;
  unsigned slots = 1;
};

// Arguments and results of some tasks of a call, whose bytes lie behind each other.
struct TasksKept {
  struct Task {
    std::uint64_t item = 0;
    int engine = -1;
    std::size_t arguments = 0;
    std::size_t value = 0;
    bool has_value = false;
  };

  std::uint64_t call = 0;
  std::vector<Task> tasks;
  std::vector<std::byte> bytes;
};

// How a task failed. What is of a class of the program's comes as its text, since it is not to be asked here.
struct TaskError {
  std::uint64_t task = 0;
  std::exception_ptr error;  // or null, and the text
  std::string text{};
};

struct TasksEnded {
  std::uint64_t call = 0;
  std::uint64_t first = 0;
  std::vector<detail::ItemRecord> records;
  std::vector<TaskError> errors;  // in the order of tasks
};

// Of which no more is told.
struct TasksOmitted {
  std::uint64_t call = 0;
  std::uint64_t completed = 0;
  std::uint64_t aborted = 0;
};

struct TaskRetried {
  std::uint64_t call = 0;
  std::uint64_t item = 0;
  unsigned attempt = 0;
  int engine = -1;
  std::int64_t at = 0;
  std::string error;
};

// What an attempt at a task has printed on an engine.
struct TaskPrinted {
  std::uint64_t call = 0;
  std::uint64_t item = 0;
  unsigned attempt = 0;
  int engine = -1;
  std::string out;
  std::string err;
};

struct EngineLost {
  int engine = -1;
  std::int64_t at = 0;
  std::string seen;
};

struct CallOver {
  std::uint64_t call = 0;
  std::int64_t at = 0;
};

struct RunEnded {
  std::int64_t at = 0;
  bool failed = false;
  std::string reason;
};

using Event = std::variant<RunBegan, CallMade, CallKept, TasksKept, TasksEnded, TasksOmitted, TaskRetried, TaskPrinted, EngineLost,
                           CallOver, RunEnded>;

}  // namespace rankview::hub

namespace rankview::hub {

// Gives the name under which the linker knows a function or constant of this process, or nothing. Thread-safe.
using NameOf = std::string (*)(const void*);

// The database of tasks. What implements it lies in a module of its own, so that programs that have none link none: both know nothing of
// each other but this, and what the module throws is of the standard library's types. Behind its end all is on disk that could be written.
class TaskDatabase : public controller::TaskArchive {
 public:
  // Puts it down to be written soon; waits for nothing. `tasks`: what it says of so many may be left out, if there is too much.
  virtual void add(Event event, std::size_t tasks) = 0;
  // Waits until all that has been put down by now is written, or could not be.
  virtual void flush() = 0;
};

}  // namespace rankview::hub

namespace rankview::inline abi_0_1 {

// Puts down for the database what the controller says.
class HubRecorder final : public controller::Recorder {
 public:
  HubRecorder(std::shared_ptr<hub::TaskDatabase> database, const transport::Clock& clock, Keep keep = Keep::none)
      : database_(std::move(database)), clock_(clock), keep_(keep) {}

  [[nodiscard]] const std::shared_ptr<hub::TaskDatabase>& database() const { return database_; }

  void run_begins(const std::vector<controller::EngineInfo>& engines) override;
  void submitted(const detail::Call& call) override;
  void granted(const detail::Call& /*call*/, std::uint64_t /*begin*/, std::uint64_t /*end*/, int /*engine*/) override {}
  void retried(const detail::Call& call, std::uint64_t item) override;
  void ending(const detail::Call& call, std::uint64_t item, const std::span<const std::byte>* value) override;
  void printed(const detail::Call& call, std::uint64_t item, int engine, const capture::Texts& texts) override;
  void ended(const detail::Call& call, std::uint64_t begin, std::uint64_t end) override;
  void engine_lost(const LostEngine& lost) override;
  void over(const detail::Call& call) override;
  void run_ends(bool failed, const std::string& reason) override;

 private:
  void tell_of(const detail::Call& call);
  void flush_kept();

  const std::shared_ptr<hub::TaskDatabase> database_;
  const transport::Clock clock_;
  const Keep keep_;
  hub::TasksKept kept_;                // of which the database has not been told
  std::set<std::uint64_t> told_code_;  // calls whose code it has been told
};

}  // namespace rankview

namespace rankview::inline abi_0_1 {

// Ends the process if this lives for longer than it may: what takes all ranks waits for ever for one that has died.
class StartGuard {
 public:
  // `what`: has not come about within that time. No limit with 0.
  StartGuard(std::chrono::seconds limit, std::string what);
  StartGuard(const StartGuard&) = delete;
  StartGuard& operator=(const StartGuard&) = delete;
  ~StartGuard();

 private:
  std::mutex mutex_;
  std::condition_variable over_;
  bool is_over_ = false;
  std::thread thread_;
};

}  // namespace rankview

namespace rankview::inline abi_0_1 {

// While it lives, SIGUSR2 makes the process say on stderr what it does and waits for. Not if the program has a handler for that signal, or
// another of these is there.
class StatusReport {
 public:
  // `describe` is called in a thread of this, whatever the others do, and gives some lines.
  explicit StatusReport(std::function<std::string()> describe);
  StatusReport(const StatusReport&) = delete;
  StatusReport& operator=(const StatusReport&) = delete;
  ~StatusReport();

 private:
  void run() const;

  std::function<std::string()> describe_;
  int asked_ = -1;  // a descriptor that is readable when somebody has
  std::thread thread_;
};

}  // namespace rankview

#include <cstdlib>

namespace rankview::controller {

// As large as a huge page, and aligned as one.
inline constexpr std::size_t slab_bytes = std::size_t{2} << 20;

struct FreeSlab {
  void operator()(void* slab) const noexcept { std::free(slab); }
};
using Slab = std::unique_ptr<void, FreeSlab>;

// `huge`: it will be filled, so that the system may back it with a huge page. Throws std::bad_alloc.
Slab new_slab(bool huge);

}  // namespace rankview::controller

#include <rankview/detail/handle.hpp>

#include <unordered_map>

namespace rankview::inline abi_0_1::detail {

// Calls by number. Numbers are given in turn, so those of about the same time lie side by side, in pages, and these in slabs, so that a
// million calls are a few thousand pages of memory. Does not own the calls; slots stay where they are.
//
// Cost: constant. Memory: 16 bytes for each call where all stay, a page for each that stays alone; slabs are kept to the end.
class CallTable {
 public:
  // Numbers only grow.
  CallSlot& add(std::uint64_t id, Call& call) {
    if (newest_ == nullptr || newest_number_ != id / page_size) turn_page(id / page_size);
    ++newest_->used;
    CallSlot& slot = newest_->slots[id % page_size];
    slot.call = &call;
    return slot;
  }

  // Null if there is none of that number.
  [[nodiscard]] Call* find(std::uint64_t id) const {
    const Page* const at = page(id / page_size);
    return at == nullptr ? nullptr : at->slots[id % page_size].call;
  }

  void remove(std::uint64_t id) {
    Page* const at = page(id / page_size);
    if (at == nullptr || at->slots[id % page_size].call == nullptr) return;
    at->slots[id % page_size].call = nullptr;
    if (--at->used == 0 && at != newest_) drop(id / page_size, at);
  }

  // Calls must not be added or removed meanwhile.
  template <class F>
  void for_each(F f) const {
    for (const auto& [number, page] : pages_) {
      for (const CallSlot& slot : page->slots) {
        if (slot.call != nullptr) f(*slot.call);
      }
    }
  }

 private:
  static constexpr std::uint64_t page_size = 64;
  struct Page {
    std::array<CallSlot, page_size> slots{};
    std::uint64_t used = 0;
  };

  // The page of a number, which is then the last one looked up.
  Page* page(std::uint64_t number) const {
    if (last_ == nullptr || last_number_ != number) {
      const auto found = pages_.find(number);
      if (found == pages_.end()) return nullptr;
      last_ = found->second;
      last_number_ = number;
    }
    return last_;
  }

  // The next call is the first of another page.
  void turn_page(std::uint64_t number) {
    if (newest_ != nullptr && newest_->used == 0) drop(newest_number_, newest_);
    newest_ = new_page();
    newest_number_ = number;
    pages_.emplace(number, newest_);
  }

  void drop(std::uint64_t number, Page* page) {
    free_.push_back(page);
    pages_.erase(number);
    if (last_ == page) last_ = nullptr;
  }

  Page* new_page() {
    if (!free_.empty()) {
      Page* const page = free_.back();
      free_.pop_back();
      return std::construct_at(page);
    }
    if (slabs_.empty() || begun_ == controller::slab_bytes / sizeof(Page)) {
      slabs_.push_back(controller::new_slab(!slabs_.empty()));
      begun_ = 0;
    }
    return std::construct_at(static_cast<Page*>(slabs_.back().get()) + begun_++);
  }

  std::vector<controller::Slab> slabs_;
  std::size_t begun_ = 0;                           // pages of the last slab that were ever in use
  std::vector<Page*> free_;                         // those that no longer are
  std::unordered_map<std::uint64_t, Page*> pages_;  // in use
  Page* newest_ = nullptr;
  std::uint64_t newest_number_ = 0;
  mutable Page* last_ = nullptr;
  mutable std::uint64_t last_number_ = 0;
};

}  // namespace rankview::detail

namespace rankview::controller {

// The calls of a run by their numbers: those that have not ended, and those that have and that somebody may still ask for.
//
// Keeps a call alive from enlist() until it has ended and nobody asks for it any more.
class CallRegistry {
 public:
  CallRegistry();

  // Numbers the call. It is in flight from here on.
  void enlist(const std::shared_ptr<detail::Call>& call);
  // The call is over: it is in flight no longer. If nobody will ask for it, it is not kept any more, but given to the caller; else null.
  std::shared_ptr<detail::Call> end(detail::Call& call);
  // Nobody will ask for the call any more. Gives it, or null if it was not kept.
  std::shared_ptr<detail::Call> drop(detail::Call& call);

  // A call that is in flight, or null.
  [[nodiscard]] detail::Call* find(std::uint64_t number) const;
  // The same for one that may have ended.
  [[nodiscard]] detail::Call* known(std::uint64_t number) const { return calls_.find(number); }
  // Calls `f` with those in flight, in no order.
  template <class F>
  void for_each(F f) const {
    calls_.for_each([&f](detail::Call& call) {
      if (call.life().in_flight) f(call);
    });
  }
  // With those, too, that have ended and are kept.
  template <class F>
  void for_each_known(F f) const {
    calls_.for_each(f);
  }
  // Those in flight, in the order in which they were made.
  [[nodiscard]] std::vector<std::shared_ptr<detail::Call>> unfinished() const;

  [[nodiscard]] std::uint64_t in_flight() const { return in_flight_; }
  [[nodiscard]] std::uint64_t next_number() const { return next_number_; }
  // A number of this registry, of which others of the process have another; they come round after some ten thousand.
  [[nodiscard]] std::uint16_t run() const { return run_; }

 private:
  const std::uint16_t run_;
  detail::CallTable calls_;
  std::uint64_t in_flight_ = 0;
  std::uint64_t next_number_ = 1;
};

}  // namespace rankview::controller

// Which calls wait for which tasks, and when their waiting is over. Pure: no MPI, no threads, no clock.
namespace rankview::scheduler {

// What somebody who waits for tasks wants to have become of them: of all or of any, that they went well, or failed, or either.
struct Rule {
  bool all = true;
  bool success = true;
  bool failure = false;
};

enum class Verdict : std::uint8_t { waiting, met, impossible };

// How the tasks that a call is to run after have ended so far.
class After {
 public:
  After() = default;
  explicit After(Rule rule) : rule_(rule) {}

  void expect(std::uint64_t tasks) { total_ += tasks; }
  void ended(bool well) { ++(well ? succeeded_ : failed_); }
  [[nodiscard]] Verdict verdict() const;

 private:
  Rule rule_;
  std::uint64_t total_ = 0;
  std::uint64_t succeeded_ = 0;
  std::uint64_t failed_ = 0;
};

// The same by engine, for a call that is to run where they ran.
class Follow {
 public:
  // `targets`: the engines that may run the call; none for all.
  Follow(Rule rule, std::vector<int> targets) : rule_(rule), targets_(std::move(targets)) {}

  void expect(std::uint64_t tasks) { total_ += tasks; }
  // `engine`: -1 where it never ran.
  void ended(int engine, bool well);
  [[nodiscard]] Verdict verdict() const;
  // Where the rule is met. Empty with Verdict::met: anywhere, since there was nothing to follow.
  [[nodiscard]] std::vector<int> engines() const;

 private:
  Rule rule_;
  std::vector<int> targets_;
  std::uint64_t total_ = 0;
  std::uint64_t ended_ = 0;
  std::vector<std::pair<int, std::uint64_t>> at_;  // how many tasks that count ended on which engine
};

// Calls are nodes: those that wait, and those whose tasks somebody waits for.
//
// Cost: constant for each dependency, when it is made and when its task ends.
class Dependencies {
 public:
  using Node = std::uint32_t;
  static constexpr Node none = static_cast<Node>(-1);
  static constexpr std::uint64_t every = static_cast<std::uint64_t>(-1);

  // How the waiting of a call ended.
  struct Decision {
    std::uint64_t call = 0;
    Verdict verdict = Verdict::waiting;
    std::vector<int> engines{};  // where it may run, none for anywhere
    // Where impossible: the task that made it so.
    std::uint64_t cause_call = 0;
    std::uint64_t cause_item = 0;
  };

  // What a call waits for: all of these have to be met.
  struct Needs {
    After after{Rule()};
    After arguments{Rule()};
    std::optional<Follow> follow;
  };
  enum class Need : std::uint8_t { after, argument, follow };

  Node add(std::uint64_t call);
  // The call waits from here on. Its needs have been told what has ended already, and expect the rest; depend() says where it comes from.
  void wait(Node node, Needs needs);
  // What becomes of a task, or of every task that has not ended, of `on` matters to `node`.
  void depend(Node node, Node on, std::uint64_t item, Need need);
  // All of the node's dependencies have been told. Decides if there is nothing to wait for. The cause to name if they cannot be met.
  void settle(Node node, std::uint64_t cause_call = 0, std::uint64_t cause_item = 0);

  // A task of a node ended on an engine, -1 if it never ran.
  void ended(Node node, std::uint64_t item, int engine, bool well);
  // The call is over, and waits for nothing.
  void remove(Node node);

  // Whether there is any whose waiting is over, and the next of them.
  [[nodiscard]] bool decided() const { return !decisions_.empty(); }
  std::optional<Decision> next();
  [[nodiscard]] std::size_t waiting() const { return waiting_; }

 private:
  struct Edge {
    Node node;
    Need need;
    std::uint64_t call;  // of the node, which may have been removed since
  };
  using Edges = std::vector<Edge>;
  struct Vertex {
    std::uint64_t call = 0;
    std::unique_ptr<Needs> needs;
    Edges on_every;
    std::unique_ptr<std::unordered_map<std::uint64_t, Edges>> on_item;
  };

  void tell(const Edges& edges, std::uint64_t call, std::uint64_t item, int engine, bool well);
  void decide(Vertex& vertex, std::uint64_t cause_call, std::uint64_t cause_item);

  std::deque<Vertex> vertices_;
  std::vector<Node> free_;
  std::deque<Decision> decisions_;
  std::size_t waiting_ = 0;
};

}  // namespace rankview::scheduler

namespace rankview::controller {

// Holds calls back until the tasks that they depend on have ended, and finds out when they may go on or never will.
//
// What a task's end decides is not carried out here: next() gives one decision after the other, so that a chain of failures is a loop.
class DependencyGate {
 public:
  // What a call is to wait for.
  struct Waiting {
    struct On {
      detail::Call* call;
      std::uint64_t item;
      scheduler::Dependencies::Need need;
    };

    scheduler::Dependencies::Needs needs;
    std::vector<On> open;          // what has not ended
    TaskId bad;                    // a task that has ended, and not as asked for
    bool takes_arguments = false;  // results are among its arguments, which are encoded when all of them are there

    [[nodiscard]] bool waits() const { return takes_arguments || needs.follow || needs.after.verdict() != scheduler::Verdict::met; }
  };

  // A call that need not wait any more, or has waited in vain. It is in flight.
  struct Decision {
    detail::Call* call = nullptr;
    bool met = false;
    std::vector<int> engines{};  // where it may run, if that was found out; none for where it always might
    TaskId cause;                // what it waited for in vain
  };

  // `run`: whose calls these are.
  DependencyGate(const detail::Controller* run, const CallRegistry& calls) : run_(run), calls_(calls) {}

  // Looks up what the call's flags and arguments name. Throws InvalidDependency or UsageError, and then nothing has changed.
  Waiting look_up(detail::Call& call) const;
  void hold(detail::Call& call, Waiting&& waiting);

  // A task has ended, and its call may be waited for.
  void ended(const detail::Call& call, std::uint64_t item);
  // The call is over: nobody can wait for it any more.
  void forget(detail::Call& call);

  // Whether anything has been decided that next() has not given.
  [[nodiscard]] bool decided() const { return dependencies_.decided(); }
  // The next decision; one without a call if there is none or it does not wait any more.
  Decision next();
  // Why a call that depends on this task cannot run, for each of its tasks. Under next(), since it asks the call of that task.
  [[nodiscard]] std::function<std::exception_ptr(const TaskId&)> impossible(const TaskId& cause) const;

 private:
  [[nodiscard]] detail::Call& resolve(const detail::Prerequisite& prerequisite) const;
  void count(const Dependency& dependency, Waiting& waiting, scheduler::Dependencies::Need need) const;

  const detail::Controller* const run_;
  const CallRegistry& calls_;
  scheduler::Dependencies dependencies_;
};

}  // namespace rankview::controller

// What the controller's parts ask of a call's items.
namespace rankview::inline abi_0_1::detail {

inline bool has_ended(Status status) { return status != Status::waiting && status != Status::handed_out; }

// Whether its items may run on any of several engines or teams.
inline bool in_pool(const Call& call) { return call.spread == Spread::pool || call.spread == Spread::teams; }

// Whether the client has given it up: it, or the call.
inline bool given_up(const Call& call, std::uint64_t item) { return call.life().aborted || call.life().more->given_up->contains(item); }

// Whether its results are read when they arrive: somebody may ask for them, or they are kept.
inline bool reads_results(const Call& call) { return !call.life().abandoned || call.life().saves; }

// Whether the database of tasks may have an item's arguments, and its result: it is an apply() of one engine's, or of a map.
inline bool can_be_kept(const Call& call) {
  const bool alone = call.spread == Spread::pool || call.spread == Spread::blocks || call.spread == Spread::each;
  return alone && !call.communicator && call.function.thunk != nullptr && call.function.thunk->result != nullptr;
}

// The block that holds the arguments of an item.
template <class C>  // Call, or const Call
auto block_of(C& call, std::uint64_t item) {
  if (call.same_arguments) return call.life().blocks.begin();
  const auto behind = std::upper_bound(call.life().blocks.begin(), call.life().blocks.end(), item,
                                       [](std::uint64_t i, const ArgumentBlock& block) { return i < block.first; });
  return std::prev(behind);
}

}  // namespace rankview::detail

namespace rankview::controller {

class Visit;

// What is to be run because calls have ended. It is the client's code, so whoever drives takes it out under the controller's lock and runs
// it without.
class ContinuationQueue {
 public:
  // The call has ended: what continues it is due.
  void take(detail::Call& call);
  // Something else has happened that it is due for.
  void add(std::shared_ptr<detail::Continuation> continuation) { due_.push_back(std::move(continuation)); }

  [[nodiscard]] bool empty() const { return due_.empty(); }
  // Whether any is due, or is being run by somebody else than the calling thread.
  [[nodiscard]] bool busy() const { return !due_.empty() || running_ > running_here(); }
  // How many the calling thread is in: one may wait, and run others meanwhile.
  [[nodiscard]] static int running_here();

  // Runs the first, and lets go of the lock meanwhile.
  void run_next(Visit& visit);
  // The client has failed: what is due from here on is dropped when its turn comes.
  void stop() { stopped_ = true; }
  // Gives what nobody will run.
  std::deque<std::shared_ptr<detail::Continuation>> drop();

 private:
  std::deque<std::shared_ptr<detail::Continuation>> due_;
  int running_ = 0;
  bool stopped_ = false;
};

}  // namespace rankview::controller

namespace rankview::controller {

// A mutex whose holder can see that others want it. Whoever drives the progress loop holds the lock most of the time, and lets others in
// between two rounds; a plain mutex would mostly be won by the driver again.
//
// Each call takes it twice, mostly when it is free. That is one atomic instruction here, where a std::mutex is a function call as well. It
// is the second mutex of Drepper, Futexes are tricky (2011).
class SharedLock {
 public:
  void lock() {
    if (!try_lock()) wait_and_lock();
  }
  bool try_lock() {
    State expected = State::free;
    return state_.compare_exchange_strong(expected, State::held, std::memory_order_acquire, std::memory_order_relaxed);
  }
  // Whether it could be had within that time.
  bool try_lock_for(std::chrono::milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    waiting_.fetch_add(1, std::memory_order_relaxed);
    bool had = try_lock();
    for (; !had && std::chrono::steady_clock::now() < end; had = try_lock()) std::this_thread::sleep_for(std::chrono::microseconds(100));
    waiting_.fetch_sub(1, std::memory_order_relaxed);
    return had;
  }
  void unlock() {
    if (state_.exchange(State::free, std::memory_order_release) == State::held_and_slept_for) state_.notify_one();
  }
  [[nodiscard]] bool wanted() const { return waiting_.load(std::memory_order_relaxed) > 0; }

  // Not held: leaves it to those that wait, for a moment.
  void give_way() const {
    for (int i = 0; i < 100 && wanted(); ++i) std::this_thread::yield();
  }
  // Held: lets whoever waits have it, then takes it again.
  void let_others_in() {
    unlock();
    give_way();
    // Those whom it has let in need not hurry for its sake.
    if (!try_lock()) sleep_and_lock();
  }

 private:
  enum class State : int { free, held, held_and_slept_for };

  // Whoever has slept cannot know whether others still do.
  void sleep_and_lock() {
    while (state_.exchange(State::held_and_slept_for, std::memory_order_acquire) != State::free)
      state_.wait(State::held_and_slept_for, std::memory_order_relaxed);
  }
  void wait_and_lock() {
    waiting_.fetch_add(1, std::memory_order_relaxed);
    sleep_and_lock();
    waiting_.fetch_sub(1, std::memory_order_relaxed);
  }

  std::atomic<State> state_{State::free};
  std::atomic<int> waiting_{0};
};

}  // namespace rankview::controller

namespace rankview::controller {

// Code of the user's that has to be run for calls: it reads results, encodes arguments, folds, destroys. It may take its time and call the
// library, so it is put down here under the controller's lock, and run without.
//
// Pieces that belong to one call are run one after the other, in the order in which they came. What the client wants done when calls have
// ended waits here as well.
class UserWork {
 public:
  class Piece {
   public:
    explicit Piece(std::shared_ptr<detail::Call> call) : call_(std::move(call)) {}
    Piece(const Piece&) = delete;
    Piece& operator=(const Piece&) = delete;
    virtual ~Piece() = default;

    // Without the lock.
    virtual void run() noexcept = 0;
    // Then, with the lock: what follows from it.
    virtual void finish() = 0;

    [[nodiscard]] detail::Call& call() const { return *call_; }

   private:
    friend UserWork;
    std::shared_ptr<detail::Call> call_;
  };

  void add(std::unique_ptr<Piece> piece);
  // Whether there is none that could be begun.
  [[nodiscard]] bool empty() const { return ready_.empty(); }
  // Whether any has not been finished, or any of the call.
  [[nodiscard]] bool busy() const { return !behind_.empty(); }
  [[nodiscard]] bool busy(const detail::Call& call) const { return behind_.contains(&call); }

  [[nodiscard]] ContinuationQueue& continuations() { return continuations_; }
  [[nodiscard]] const ContinuationQueue& continuations() const { return continuations_; }

  // What runs a destructor of the user's where this was the last to hold it: it goes when nobody holds the lock.
  void leave(std::shared_ptr<const void> thing) {
    if (thing.use_count() != 0) left_.things.push_back(std::move(thing));
  }
  void leave(std::vector<std::shared_ptr<const void>>&& things) {
    for (auto& thing : things) leave(std::move(thing));
    things.clear();
  }
  // Likewise the results that a call was made of.
  void leave(detail::Deferred&& deferred) { std::swap(left_.deferred.emplace_back(), deferred); }
  // So much that its memory is better used again.
  [[nodiscard]] bool much_left() const { return left_.things.size() + left_.deferred.size() >= 32; }

  [[nodiscard]] bool anything_left() const { return !left_.things.empty() || !left_.deferred.empty(); }
  // Gives back the lock, and then destroys what is left.
  void destroy_left_behind(std::unique_lock<SharedLock>& guard);

 private:
  friend class Visit;

  std::unique_ptr<Piece> begin_next();
  void end(std::unique_ptr<Piece> piece);

  struct Left {
    std::vector<std::shared_ptr<const void>> things;
    std::vector<detail::Deferred> deferred;
  };
  // Empty, with the memory of what this thread destroyed last: mostly that is a call or two, for which nothing has to be allocated so.
  static thread_local Left spare_;

  std::deque<std::unique_ptr<Piece>> ready_;
  // By call, those that wait until the one before them is finished; an entry, perhaps empty, for each call that has any.
  std::unordered_map<const detail::Call*, std::deque<std::unique_ptr<Piece>>> behind_;
  Left left_;
  ContinuationQueue continuations_;
};

// Drops what results the call has.
void discard_results(UserWork& work, detail::Call& call);

// A stay under the controller's lock. What is left behind under it is destroyed when the lock has been given back.
class Visit {
 public:
  Visit(SharedLock& lock, UserWork& work) : work_(work), guard_(lock) {}
  // Only if nobody else has it.
  Visit(SharedLock& lock, UserWork& work, std::try_to_lock_t only_if_free) : work_(work), guard_(lock, only_if_free) {}
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;
  ~Visit() {
    if (guard_.owns_lock()) unlock();
  }

  explicit operator bool() const { return guard_.owns_lock(); }
  void lock() { guard_.lock(); }
  void unlock() {
    if (work_.anything_left()) {
      work_.destroy_left_behind(guard_);
    } else {
      guard_.unlock();
    }
  }
  // Destroys what is left by now, without the lock.
  void let_go() {
    unlock();
    lock();
  }
  // Runs the next piece of work, without the lock.
  void run_next_piece();

 private:
  UserWork& work_;
  std::unique_lock<SharedLock> guard_;
};

}  // namespace rankview::controller

namespace rankview::controller {

// What becomes of items. Nobody else writes the status of one, and here is found out that a call is over.
//
//   from \ to     waiting                            handed_out   completed, failed, aborted
//   waiting       -                                  granted()    ended(), give_up()
//   handed_out    returned(), not_begun(), failed()  granted()*   ended()
//
// Where a team runs an item, each of its engines is granted it and ends it; the item ends with the last of them (*).
class ItemLedger {
 public:
  // Makes the error of a task.
  using MakeError = std::function<std::exception_ptr(const TaskId&)>;

  // `recorder`: hears of it, null for nobody.
  ItemLedger(Engines& engines, DependencyGate& gate, UserWork& work, Recorder* recorder = nullptr)
      : engines_(engines), gate_(gate), work_(work), recorder_(recorder) {}

  // An engine has been given items [begin, end), or rank 0, which is -1, has begun its own.
  void granted(detail::Call& call, std::uint64_t begin, std::uint64_t end, int engine);
  // The engine that had it has given it back and never began it. Throws DecodeError if it did not have it.
  void returned(detail::Call& call, std::uint64_t item, int engine);
  // The engine could not begin it: it waits for another.
  void not_begun(detail::Call& call, std::uint64_t item);
  // An attempt has failed, and there is to be another.
  void failed(detail::Call& call, std::uint64_t item);
  // One engine has ended it; with it the item ends, or its team's part in it.
  void finished(detail::Call& call, std::uint64_t item, Status status, std::exception_ptr error);
  // A team has it of which an engine has died: it waits for another as soon as the others have ended it. Not if it has failed there
  // already.
  void again_behind_team(detail::Call& call, std::uint64_t item);
  [[nodiscard]] static bool is_again_behind_team(const detail::Call& call, std::uint64_t item);
  // Those that wait now.
  [[nodiscard]] bool any_left_by_teams() const { return !left_by_teams_.empty(); }
  std::vector<TaskId> take_left_by_teams() { return std::exchange(left_by_teams_, {}); }
  // It ends, whoever had it.
  void ended(detail::Call& call, std::uint64_t item, Status status, std::exception_ptr error);
  // Ends all that wait and stand in no queue any more.
  void give_up(detail::Call& call, Status status, const MakeError& error);

  // No more items will come, and rank 0's own part in the call is over.
  void seal(detail::Call& call);
  // Tells the recorder of the ends that it has not heard of.
  void flush_records() {
    if (unrecorded_ != nullptr) record_ends();
  }
  // Whether any call is over, whose end has to be carried out, and the next of them, or null.
  [[nodiscard]] bool any_over() const { return !over_.empty(); }
  template <class F>
  void for_each_over(F f) const {
    for (std::size_t i = next_over_; i < over_.size(); ++i) f(*over_[i]);
  }
  detail::Call* next_over();

 private:
  class Completion;

  bool last_of_team(detail::Call& call, std::uint64_t item, Status& status, std::exception_ptr& error);
  void note_end(detail::Call& call, std::uint64_t item, std::exception_ptr&& error);
  void drop_arguments(detail::ArgumentBlock& block);
  void add_completion(detail::Call& call, std::uint64_t last);
  void note_unrecorded(const detail::Call& call, std::uint64_t item);
  void record_ends();
  void publish_end(detail::Call& call, std::uint64_t item);
  void publish_seal(detail::Call& call);
  void count_end(const detail::Call& call, const detail::ItemRecord& record);
  void count_end_of_team(const detail::Call& call, const detail::ItemRecord& record);

  Engines& engines_;
  DependencyGate& gate_;
  UserWork& work_;
  Recorder* const recorder_;
  const detail::Call* unrecorded_ = nullptr;  // a call of which items [first_, last_) have ended, and the recorder has not heard of it
  std::uint64_t first_ = 0;
  std::uint64_t last_ = 0;
  std::vector<detail::Call*> over_;  // in the order of their ends; in flight, so that they stay
  std::size_t next_over_ = 0;        // of these, the first that was not asked for
  std::vector<TaskId> left_by_teams_;
};

// ---- done for every item, so that a call of a function each would show ---------------------------------------------------------

inline void ItemLedger::finished(detail::Call& call, std::uint64_t item, Status status, std::exception_ptr error) {
  if (call.spread == detail::Spread::teams && !last_of_team(call, item, status, error)) return;
  ended(call, item, status, std::move(error));
}

inline void ItemLedger::ended(detail::Call& call, std::uint64_t item, Status status, std::exception_ptr error) {
  detail::CallLife& life = call.life();
  life.items[item].status = status;
  count_end(call, life.items[item]);
  if (recorder_ != nullptr) note_unrecorded(call, item);
  if (error || life.more) note_end(call, item, std::move(error));
  if (!call.same_arguments) {
    detail::ArgumentBlock& block = *block_of(call, item);
    // The only one of a call goes with its end.
    if (--block.unfinished == 0 && (!life.sealed || life.blocks.size() > 1)) drop_arguments(block);
  }
  if (call.completes && life.sealed && life.ended + 1 == life.items.size() && !detail::failed(call) && !life.abandoned) {
    add_completion(call, item);
  } else {
    publish_end(call, item);
  }
}

// Tells whoever waits for the item that it has ended.
inline void ItemLedger::publish_end(detail::Call& call, std::uint64_t item) {
  detail::CallLife& life = call.life();
  const bool well = life.items[item].status == Status::completed && !life.failure;
  // From the next line on the client may look at the value.
  life.ended.fetch_add(1, std::memory_order_release);
  if (life.slot != nullptr) life.slot->well = life.items.size() == 1 && life.sealed && well;
  if (life.node != scheduler::Dependencies::none && (life.sealed || call.root->kind == detail::RootPart::Kind::none))
    gate_.ended(call, item);
  if (life.done()) over_.push_back(&call);
}

inline detail::Call* ItemLedger::next_over() {
  flush_records();
  if (next_over_ != over_.size()) return over_[next_over_++];
  over_.clear();
  next_over_ = 0;
  return nullptr;
}

// A task counts once, by how it ended, on the engine or the team that ran it last.
inline void ItemLedger::count_end(const detail::Call& call, const detail::ItemRecord& record) {
  if (record.engine < 0 || record.status == Status::aborted) return;
  if (call.spread == detail::Spread::teams) {
    count_end_of_team(call, record);
  } else {
    engines_.account(record.engine).count(record.status);
  }
}

}  // namespace rankview::controller

namespace rankview::controller {

// When calls have waited for too long. A timer whose call has ended stays for a while: there are at most twice as many as calls that have
// one and have not ended, and a few.
//
// Cost: amortised constant but for the one that is due next, which takes a logarithm.
class Timers {
 public:
  [[nodiscard]] bool empty() const { return timers_.empty(); }
  [[nodiscard]] std::size_t size() const { return timers_.size(); }

  void add(std::int64_t when, std::uint64_t call) {
    ++calls_;
    timers_.emplace_back(when, call);
    std::push_heap(timers_.begin(), timers_.end(), std::greater<>());
  }

  // A call that has a timer, or had one that went off, has ended. `ended(call)` says of which others that is so.
  template <class Ended>
  void note_end(Ended ended) {
    --calls_;
    if (timers_.size() > 2 * calls_ + few) drop(ended);
  }

  // Takes out the earliest, if its time has come: the call, which may have ended.
  std::optional<std::uint64_t> next(std::int64_t now) {
    if (timers_.empty() || timers_.front().first > now) return std::nullopt;
    std::pop_heap(timers_.begin(), timers_.end(), std::greater<>());
    const std::uint64_t call = timers_.back().second;
    timers_.pop_back();
    return call;
  }

 private:
  using Timer = std::pair<std::int64_t, std::uint64_t>;
  static constexpr std::size_t few = 64;

  template <class Ended>
  void drop(Ended ended) {
    std::erase_if(timers_, [&ended](const Timer& timer) { return ended(timer.second); });
    if (timers_.capacity() > 4 * timers_.size() + few) timers_.shrink_to_fit();
    std::make_heap(timers_.begin(), timers_.end(), std::greater<>());
  }

  std::vector<Timer> timers_;  // a heap, the earliest on top
  std::size_t calls_ = 0;
};

}  // namespace rankview::controller

#include <boost/container/small_vector.hpp>

namespace rankview::scheduler {

// Elements that mostly come at the end and go at the front, side by side; a single one takes no memory of its own. There are as many of
// these as there are engines, and mostly they have one element, where std::deque would take two blocks.
//
// Cost: amortised constant at both ends, linear within.
template <class T>
class Fifo {
 public:
  [[nodiscard]] std::size_t size() const { return elements_.size() - gone_; }
  T& operator[](std::size_t i) { return elements_[gone_ + i]; }
  const T& operator[](std::size_t i) const { return elements_[gone_ + i]; }
  auto begin() { return elements_.begin() + offset(0); }
  auto end() { return elements_.end(); }
  [[nodiscard]] auto begin() const { return elements_.begin() + offset(0); }
  [[nodiscard]] auto end() const { return elements_.end(); }

  T& push_back(T element) { return elements_.emplace_back(std::move(element)); }
  void insert(std::size_t i, T element) { elements_.insert(elements_.begin() + offset(i), std::move(element)); }
  void erase(std::size_t i) {
    if (i != 0) {
      elements_.erase(elements_.begin() + offset(i));
    } else if (size() == 1) {
      clear();
    } else {
      elements_[gone_++] = T();
      if (gone_ < least_gone || gone_ < size()) return;
      elements_.erase(elements_.begin(), elements_.begin() + offset(0));
      gone_ = 0;
    }
  }
  void clear() {
    elements_.clear();
    gone_ = 0;
  }

 private:
  static constexpr std::size_t least_gone = 8;

  [[nodiscard]] std::ptrdiff_t offset(std::size_t i) const { return static_cast<std::ptrdiff_t>(gone_ + i); }

  boost::container::small_vector<T, 1> elements_;
  std::size_t gone_ = 0;  // at the front
};

}  // namespace rankview::scheduler

// What is said to the scheduler, and what it says.
namespace rankview::scheduler {

using Nanoseconds = std::int64_t;

// To whom among the engines that may take more.
enum class Policy : std::uint8_t {
  least_load,  // who has nothing to do before who will soon have nothing to do
  lru,         // who was handed something longest ago
  random,      // any
  two_bin,     // of two drawn at random the one with less in hand
  weighted,    // drawn with the inverse of what they have in hand as weight
  pack,        // who has the fewest slots left of those that have enough
};

// Engines that an item is kept from.
struct Avoid {
  std::vector<int> tried;    // it has failed there: they come last
  std::vector<int> refused;  // it cannot run there
};

// Consecutive items of one call, cut into `chunks` balanced chunks that are never split.
struct Work {
  std::uint64_t call = 0;  // calls are numbered in the order in which they are to start
  std::uint64_t kind = 0;  // calls of one kind take about equally long an item
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::uint64_t chunks = 0;       // at most count; equal to it: every item by itself
  std::uint64_t item_bytes = 0;   // encoded size of an item, about
  std::uint64_t submitter = 0;    // who submitted it: what different ones submit takes turns
  std::uint32_t hwm = 0;          // an engine is handed more while it has fewer items than this; 0: as durations suggest
  std::int32_t priority = 0;      // higher ones first
  std::uint16_t slots = 0;        // that an item, or a chunk, takes of an engine beside others; 0: it takes the engine, alone
  std::uint16_t least_slots = 0;  // engines that have fewer are not for it; at least `slots`
  Policy policy = Policy::least_load;
  bool alone = false;                    // not to be merged with its neighbours, nor handed out with others
  std::shared_ptr<const Avoid> avoid{};  // null: nobody
};

// Who may run a piece of work. Refers to the caller's vectors.
struct Placement {
  enum class Kind : std::uint8_t { anyone, among, bound, together, teams };
  Kind kind = Kind::anyone;
  int engine = -1;                                       // bound: the only one
  const std::vector<int>* engines = nullptr;             // among: any of them. together: item i by the i-th, all at once
  const std::vector<std::vector<int>>* teams = nullptr;  // any of these, all its engines together

  static Placement among(const std::vector<int>& engines) { return {Kind::among, -1, &engines, nullptr}; }
  static Placement bound(int engine) { return {Kind::bound, engine, nullptr, nullptr}; }
  static Placement together(const std::vector<int>& engines) { return {Kind::together, -1, &engines, nullptr}; }
  static Placement to(const std::vector<std::vector<int>>& teams) { return {Kind::teams, -1, nullptr, &teams}; }
};

// An engine is to run items [begin, end) of a call.
struct Grant {
  int engine = -1;
  std::uint64_t call = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  bool slow = false;  // an item may take long: what the engine has done before should not wait for it
};

// Items [begin, end) of a call.
struct Range {
  std::uint64_t call = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  bool whole = false;  // not to be split

  friend bool operator==(const Range&, const Range&) = default;
};

// An engine is to give back what it has not begun of these.
struct Recall {
  int engine = -1;
  std::vector<Range> ranges;
};

struct Limits {
  // As much work as is handed to an engine at a time, and in all, by measured durations.
  Nanoseconds batch = 200'000;
  Nanoseconds in_hand = 300'000;
  // For more engines than this, these are longer in proportion: in a batch's time each engine is sent a message and sends one, and handling
  // so many must not take longer.
  std::size_t engines = 200;
  // Items longer than this are not handed out ahead of need.
  Nanoseconds longest_ahead = 100'000;
  std::uint64_t batch_bytes = 128 * 1024;
  // Of work that only one engine may do, so many items are on their way or in its queue.
  std::uint64_t bound_items = 256;
  // Items that take less are no reason to send what was done before.
  Nanoseconds slow = 50'000;
  // An engine that has ended nothing for so long is taken to sit in a long item.
  Nanoseconds overdue = 300'000;
  // The same while nobody else has nothing to do. What waits there is older than what others begin meanwhile, so it must not wait for long;
  // but an engine that has just ended a long item is not to be left without the next.
  Nanoseconds stuck = 3'000'000;
};

// What one engine has.
struct Load {
  std::uint64_t waiting = 0;     // bound to this engine and not handed out
  std::uint64_t handed_out = 0;  // on its way there, queued there, or running
  std::uint64_t ended = 0;
};

}  // namespace rankview::scheduler

#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>

// How work is to be handed out, and how long it takes.
namespace rankview::scheduler {

struct TargetSet;

// How long items of one kind take.
struct Duration {
  double mean = 0;  // nanoseconds an item, of late
  std::uint64_t samples = 0;

  // A few items count for half, so that a drift shows soon; a single one, which may be far from the mean, for an eighth.
  void learn(std::uint64_t items, Nanoseconds busy) {
    const auto count = static_cast<double>(items);
    samples += items;
    const double weight = std::max(count / static_cast<double>(samples), std::min(count, 4.0) / 8);
    mean += weight * (static_cast<double>(busy) / count - mean);
  }
};

// By kind. What it gives stays where it is.
class Durations {
 public:
  Duration& of(std::uint64_t kind) {
    if (last_.second == nullptr || last_.first != kind) last_ = {kind, &durations_[kind]};
    return *last_.second;
  }

 private:
  std::unordered_map<std::uint64_t, Duration> durations_;
  std::pair<std::uint64_t, Duration*> last_{0, nullptr};  // looked up
};

// How pieces of work are to be handed out; shared by those that have the same, one thread at a time.
struct Terms : boost::intrusive_ref_counter<Terms, boost::thread_unsafe_counter> {
  TargetSet* targets = nullptr;
  Duration* kind = nullptr;
  std::uint64_t item_bytes = 0;
  std::uint64_t submitter = 0;
  std::uint32_t hwm = 0;
  std::int32_t priority = 0;
  std::uint16_t slots = 0;
  std::uint16_t least_slots = 0;
  Policy policy = Policy::least_load;
  bool alone = false;
  bool in_chunks = false;  // which are not to be split
  std::shared_ptr<const Avoid> avoid{};

  [[nodiscard]] auto tie() const {
    return std::tie(targets, kind, item_bytes, submitter, hwm, priority, slots, least_slots, policy, alone, in_chunks, avoid);
  }
};
using SharedTerms = boost::intrusive_ptr<const Terms>;

}  // namespace rankview::scheduler

// What an engine has in hand. What is called for each item that ends is here, so that it is inlined.
namespace rankview::scheduler {

// Items [first, first + count) of a call that an engine has, of one grant.
struct Assignment {
  SharedTerms terms;
  std::uint64_t call = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;

  [[nodiscard]] std::uint64_t end() const { return first + count; }
  [[nodiscard]] bool whole() const { return terms->in_chunks && count > 1; }
  // Nanoseconds of work; nothing if it is of unknown kind.
  [[nodiscard]] std::optional<double> time() const {
    if (terms->kind->samples == 0) return std::nullopt;
    return terms->kind->mean * static_cast<double>(count);
  }
  void cut(std::uint64_t from, std::uint64_t to) {
    first = from;
    count = to - from;
  }
};

// What an engine has in hand but for the oldest assignment, in the order in which it runs them.
//
// Cost: as of Fifo; time() is linear in the number of kinds.
class Backlog {
 public:
  [[nodiscard]] std::size_t size() const { return assignments_.size(); }
  [[nodiscard]] const Assignment& operator[](std::size_t i) const { return assignments_[i]; }
  // Nanoseconds of work; nothing if some of it is of unknown kind.
  [[nodiscard]] std::optional<double> time() const {
    double backlog = 0;
    for (const OfKind& of_kind : of_kinds_) {
      if (of_kind.kind->samples == 0) return std::nullopt;
      backlog += of_kind.kind->mean * static_cast<double>(of_kind.items);
    }
    return backlog;
  }
  [[nodiscard]] std::uint64_t items_of(const Duration& kind) const {
    const OfKind* const of_kind = find(kind);
    return of_kind == nullptr ? 0 : of_kind->items;
  }
  void insert(std::size_t i, Assignment assignment) {
    count(assignment);
    assignments_.insert(i, std::move(assignment));
  }
  Assignment take(std::size_t i) {
    discount(assignments_[i]);
    Assignment assignment = std::move(assignments_[i]);
    assignments_.erase(i);
    return assignment;
  }
  void cut(std::size_t i, std::uint64_t first, std::uint64_t end) {
    discount(assignments_[i]);
    assignments_[i].cut(first, end);
    count(assignments_[i]);
  }
  // Has the cache fetch it.
  void prefetch() const {
    __builtin_prefetch(&assignments_);
    __builtin_prefetch(&of_kinds_);
  }

 private:
  // Items of one kind.
  struct OfKind {
    const Duration* kind;
    std::uint64_t items;
  };

  [[nodiscard]] const OfKind* find(const Duration& kind) const {
    const auto found = std::find_if(of_kinds_.begin(), of_kinds_.end(), [&kind](const OfKind& of_kind) { return of_kind.kind == &kind; });
    return found == of_kinds_.end() ? nullptr : &*found;
  }

  void count(const Assignment& assignment) {
    if (auto* const known = const_cast<OfKind*>(find(*assignment.terms->kind)); known != nullptr) {
      known->items += assignment.count;
    } else {
      of_kinds_.push_back({assignment.terms->kind, assignment.count});
    }
  }

  void discount(const Assignment& assignment) {
    auto* const known = const_cast<OfKind*>(find(*assignment.terms->kind));
    known->items -= assignment.count;
    if (known->items != 0) return;
    *known = of_kinds_.back();
    of_kinds_.pop_back();
  }

  Fifo<Assignment> assignments_;
  boost::container::small_vector<OfKind, 1> of_kinds_;
};

}  // namespace rankview::scheduler

// What is known of an engine.
namespace rankview::scheduler {

struct Queue;
struct TargetSet;

// What is known of an engine's place in a target set.
struct Listed {
  bool idle = false;  // it stands in its lists
  bool hungry = false;
};

// As much of an engine as handing it a long item and hearing of its end takes: a line of the cache, since of a hundred thousand engines
// each that comes up has to be fetched.
struct alignas(64) Engine {
  int id = -1;
  std::uint32_t suspended = 0;
  bool live = false;
  bool aside = false;      // see set_aside()
  bool overdue = false;    // sits in a long item
  bool recalling = false;  // has been asked to give back
  bool watched = false;    // since Rest::watched_since
  bool more = false;       // has something in Rest::backlog
  bool joined = false;     // has something in Rest::target_sets
  bool crowded = false;    // may have something to give back
  bool kept = false;       // for Rest::kept_for
  std::uint16_t slots = 1;
  std::uint16_t used = 0;   // of these
  Listed listed;            // in the target set of everyone
  Assignment oldest;        // what it runs first
  std::uint64_t items = 0;  // in hand, in all
  std::uint64_t ended = 0;

  [[nodiscard]] bool idle() const { return items == suspended; }
  [[nodiscard]] bool present() const { return live && !aside; }
};

// An engine's part in a target set.
struct Membership {
  TargetSet* targets;
  Listed listed;
};

// The rest of it.
struct alignas(64) Rest {
  Backlog backlog;
  std::uint64_t ended_when_watched = 0;
  std::uint64_t ended_when_kept = static_cast<std::uint64_t>(-1);  // when it could give nothing back
  Nanoseconds watched_since = 0;
  TargetSet* bound = nullptr;           // once there was work for it alone
  Queue* kept_for = nullptr;            // whose first entry it is to make room for
  std::vector<Membership> target_sets;  // with that, and without that of everyone
};

}  // namespace rankview::scheduler

#include <bit>

namespace rankview::scheduler {

// Some of the numbers below a bound, a bit each.
//
// Cost: constant; next(): a step for every 64 numbers that it passes.
class IdSet {
 public:
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool contains(int id) const { return (words_[word(id)] & bit(id)) != 0; }

  // Room for numbers below `bound`.
  void reserve(std::size_t bound) { words_.resize((bound + 63) / 64); }
  void set(int id, bool member) {
    if (contains(id) == member) return;
    words_[word(id)] ^= bit(id);
    member ? ++size_ : --size_;
  }

  // The first member from `id` on, or, behind the last one, the first of all. There must be one.
  [[nodiscard]] int next(int id) const {
    std::size_t at = word(id);
    if (at >= words_.size()) return next(0);
    std::uint64_t rest = words_[at] & ~(bit(id) - 1);
    while (rest == 0) {
      at = at + 1 == words_.size() ? 0 : at + 1;
      rest = words_[at];
    }
    return static_cast<int>(at * 64) + std::countr_zero(rest);
  }

 private:
  static std::size_t word(int id) { return static_cast<std::size_t>(id) / 64; }
  static std::uint64_t bit(int id) { return std::uint64_t{1} << (static_cast<unsigned>(id) % 64); }

  std::vector<std::uint64_t> words_;
  std::size_t size_ = 0;
};

}  // namespace rankview::scheduler

namespace rankview::scheduler {

// All engines, and of how many of them what is true, so that nobody has to count.
class Roster {
 public:
  // Has no work, and takes so much side by side.
  Engine& add(int id, std::uint16_t slots) {
    const std::size_t size = std::max(engines_.size(), static_cast<std::size_t>(id) + 1);
    engines_.resize(size);
    rests_.resize(size);
    granted_.resize(size);
    crowded_.reserve(size);
    Engine& added = (*this)[id];
    added.id = id;
    added.live = true;
    added.slots = slots;
    least_slots_ = size == 1 ? slots : std::min(least_slots_, slots);
    most_slots_ = std::max(most_slots_, slots);
    ++live_;
    ++idle_;
    return added;
  }

  Engine& operator[](int id) { return engines_[static_cast<std::size_t>(id)]; }
  const Engine& operator[](int id) const { return engines_[static_cast<std::size_t>(id)]; }
  Rest& rest(int id) { return rests_[static_cast<std::size_t>(id)]; }
  [[nodiscard]] const Rest& rest(int id) const { return rests_[static_cast<std::size_t>(id)]; }
  [[nodiscard]] auto begin() { return engines_.begin(); }
  [[nodiscard]] auto end() { return engines_.end(); }
  [[nodiscard]] auto begin() const { return engines_.begin(); }
  [[nodiscard]] auto end() const { return engines_.end(); }

  // Whether there is an engine of this number, and it lives.
  [[nodiscard]] bool live(int id) const { return static_cast<std::size_t>(id) < engines_.size() && (*this)[id].live; }
  [[nodiscard]] std::size_t live() const { return live_; }
  // Those that do not answer, and live.
  [[nodiscard]] std::size_t aside() const { return aside_; }
  // Those that are present and have nothing in hand.
  [[nodiscard]] std::size_t idle() const { return idle_; }
  // Those that have something in slots, and those that have an item for themselves.
  [[nodiscard]] std::size_t slotted() const { return slotted_; }
  [[nodiscard]] std::size_t taken_whole() const { return live_ - aside_ - idle_ - slotted_; }
  // So many slots every engine has, and the one that has most.
  [[nodiscard]] std::uint16_t least_slots() const { return least_slots_; }
  [[nodiscard]] std::uint16_t most_slots() const { return most_slots_; }

  // It has died.
  void bury(Engine& engine) {
    if (engine.aside) --aside_;
    if (!engine.aside && engine.idle()) --idle_;
    --live_;
    engine.live = engine.aside = false;
  }
  void set_aside(Engine& engine) {
    if (engine.idle()) --idle_;
    ++aside_;
    engine.aside = true;
  }
  // It has nothing in hand.
  void take_back(Engine& engine) {
    engine.aside = false;
    --aside_;
    ++idle_;
  }
  // What it has in hand has changed.
  void note_idle(Engine& engine, bool was_idle) {
    if (engine.idle() == was_idle || !engine.present()) return;
    if (was_idle) {
      --idle_;
      engine.watched = false;
    } else {
      ++idle_;
    }
  }
  void set_used(Engine& engine, int used) {
    if (engine.used == 0 && used != 0) ++slotted_;
    if (engine.used != 0 && used == 0) --slotted_;
    engine.used = static_cast<std::uint16_t>(used);
  }
  void set_items(Engine& engine, std::uint64_t items) {
    // What takes slots is not handed out ahead of need.
    const bool crowded = items > 1 && engine.used == 0;
    if (engine.crowded != crowded) crowded_.set(engine.id, crowded);
    engine.crowded = crowded;
    engine.items = items;
  }

  // Those that have more than one item: how many, and one after the other.
  [[nodiscard]] std::size_t crowded() const { return crowded_.size(); }
  Engine& next_crowded() {
    Engine& next = (*this)[crowded_.next(next_watched_)];
    next_watched_ = next.id + 1;
    return next;
  }

  // When it was last handed something, in grants of all.
  void note_granted(const Engine& engine) { granted_[static_cast<std::size_t>(engine.id)] = ++grants_; }
  [[nodiscard]] std::uint64_t granted(int id) const { return granted_[static_cast<std::size_t>(id)]; }

 private:
  std::vector<Engine> engines_;         // by number
  std::vector<Rest> rests_;             // likewise
  std::vector<std::uint64_t> granted_;  // likewise
  IdSet crowded_;
  int next_watched_ = 0;  // where next_crowded() goes on
  std::uint64_t grants_ = 0;
  std::size_t live_ = 0;
  std::size_t aside_ = 0;
  std::size_t idle_ = 0;
  std::size_t slotted_ = 0;
  std::uint16_t least_slots_ = 0;
  std::uint16_t most_slots_ = 0;
};

}  // namespace rankview::scheduler

// Work that waits.
namespace rankview::scheduler {

// Work that several engines are handed at once; it stands in the queue of each for what only that engine may run (gang scheduling;
// Ousterhout, Scheduling techniques for concurrent systems, ICDCS 1982).
struct Gang {
  std::vector<int> engines;
  std::size_t ready = 0;  // engines whose turn it is
};

// Pending items [first, first + count) of a call, and how far they were handed out.
struct Entry {
  SharedTerms terms;
  std::uint64_t call = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::uint64_t chunks = 0;
  std::uint64_t chunk = 0;  // next to hand out
  std::shared_ptr<Gang> gang{};

  // Where a chunk begins.
  [[nodiscard]] std::uint64_t boundary(std::uint64_t chunk_index) const {
    if (chunks == count) return first + chunk_index;
    const std::uint64_t size = count / chunks;
    const std::uint64_t longer = count % chunks;
    return first + chunk_index * size + std::min(chunk_index, longer);
  }
  [[nodiscard]] std::uint64_t end() const { return first + count; }
  [[nodiscard]] std::uint64_t left() const { return end() - boundary(chunk); }
  [[nodiscard]] bool over() const { return chunk == chunks; }
  // Whether it is still to be handed out.
  [[nodiscard]] bool has(std::uint64_t item) const { return !over() && boundary(chunk) <= item && item < end(); }
  // Takes an item out that it has: gives what is left behind it, or of chunks, which stay whole but for that item, all that is left.
  std::vector<Entry> cut_out(std::uint64_t item);
  // By call, and within a call by what comes next of it. Since no two have an item in common, handing out does not change it.
  [[nodiscard]] std::pair<std::uint64_t, std::uint64_t> place() const { return {call, boundary(chunk)}; }
};

// The entries of a queue, in order of calls except where bound to one engine. Mostly they come in that order; those that do not, such as
// calls that have waited for others, stand apart, so that each costs a logarithm of their number.
class Entries {
 public:
  [[nodiscard]] bool empty() const { return in_order_.empty() && late_.empty(); }
  Entry& front() { return late_first() ? const_cast<Entry&>(*late_.begin()) : in_order_.front(); }
  [[nodiscard]] const Entry& front() const { return const_cast<Entries*>(this)->front(); }
  void pop_front() {
    if (late_first()) {
      late_.erase(late_.begin());
    } else {
      in_order_.pop_front();
    }
  }
  // Those at the front that are over.
  void skip_over() {
    while (!empty() && front().over()) pop_front();
  }
  void clear() {
    in_order_.clear();
    late_.clear();
  }
  // The one that came last of those that came in order, null if there is none.
  Entry* last() { return in_order_.empty() ? nullptr : &in_order_.back(); }
  void append(Entry entry) { in_order_.push_back(std::move(entry)); }
  void insert(Entry entry) {
    if (in_order_.empty() || in_order_.back().place() <= entry.place()) {
      in_order_.push_back(std::move(entry));
    } else {
      late_.insert(std::move(entry));
    }
  }
  template <class F>
  void for_each(F f) {
    for (Entry& entry : in_order_) f(entry);
    for (const Entry& entry : late_) f(const_cast<Entry&>(entry));
  }
  template <class F>
  void for_each(F f) const {
    for (const Entry& entry : in_order_) f(entry);
    for (const Entry& entry : late_) f(entry);
  }
  // Those of one call, where they are in order of calls.
  template <class F>
  void for_each_of(std::uint64_t call, F f) {
    auto entry = std::lower_bound(in_order_.begin(), in_order_.end(), call,
                                  [](const Entry& there, std::uint64_t wanted) { return there.call < wanted; });
    for (; entry != in_order_.end() && entry->call == call; ++entry) f(*entry);
    Entry first;
    first.call = call;
    for (auto late = late_.lower_bound(first); late != late_.end() && late->call == call; ++late) f(const_cast<Entry&>(*late));
  }
  // Cuts an item of a call out of the entry that has it.
  bool cut_out(std::uint64_t call, std::uint64_t item);
  template <class F>
  void erase_if(F f) {
    std::erase_if(in_order_, f);
    std::erase_if(late_, f);
  }

 private:
  [[nodiscard]] bool late_first() const {
    return in_order_.empty() || (!late_.empty() && late_.begin()->place() < in_order_.front().place());
  }

  struct Earlier {
    bool operator()(const Entry& a, const Entry& b) const { return a.place() < b.place(); }
  };

  std::deque<Entry> in_order_;
  std::multiset<Entry, Earlier> late_;
};

}  // namespace rankview::scheduler

// Sets of engines, and the queues that these draw from.
namespace rankview::scheduler {

// What comes first: by priority, then by turns, then by age; of one call, by the queue it stands in.
struct Key {
  std::int64_t urgency = 0;  // lower is sooner
  double turn = 0;
  std::uint64_t call = 0;
  std::uint64_t queue = 0;
  friend auto operator<=>(const Key&, const Key&) = default;
};

// Work of a target set that is handed out one after the other: of one priority and submitter, kept from the same engines, of one size.
using QueueId = std::tuple<std::int32_t, std::uint64_t, std::vector<int>, std::uint16_t>;
struct Queue {
  TargetSet* targets = nullptr;
  std::uint64_t number = 0;  // in the order in which they were made
  QueueId id;
  Entries entries;
  double turn = 0;  // nanoseconds of work that were handed out of it, as fair queueing counts them
  int keeps = -1;   // the engine that is kept for it
  bool runnable = false;
  Key key;                 // under which it then stands among the runnable
  std::size_t listed = 0;  // how often it stands there, with stale keys

  [[nodiscard]] std::int32_t priority() const { return std::get<0>(id); }
  [[nodiscard]] const std::vector<int>& avoids() const { return std::get<2>(id); }
};

// The engines that may draw from the same queues.
struct TargetSet {
  std::size_t engines = 0;
  bool bound = false;
  std::vector<std::unique_ptr<Queue>> queues;
  // Engines that may want work, the idle before the merely hungry. An engine stands in a list at most once; whether it still
  // belongs there shows when it comes up.
  std::deque<int> idle;
  std::deque<int> hungry;
  std::map<int, std::vector<int>> followers;  // where teams draw from it: by first engine, the others
  bool waits_for_gang = false;                // its first entry waits for the other engines of its gang
  std::uint32_t hwm = 0;                      // the highest of what it was asked for since it was last empty
  std::size_t in_hand = 0;                    // assignments that engines have of it

  [[nodiscard]] bool recallable() const { return !bound && followers.empty(); }
  [[nodiscard]] bool empty() const {
    return std::all_of(queues.begin(), queues.end(), [](const auto& queue) { return queue->entries.empty(); });
  }
};

}  // namespace rankview::scheduler

namespace rankview::scheduler {

// All sets of engines that anything was for, but for some that nothing was for lately.
class TargetSets {
 public:
  using Teams = std::vector<std::vector<int>>;

  TargetSets() : everyone_(make(false)) {}
  TargetSets(const TargetSets&) = delete;
  TargetSets& operator=(const TargetSets&) = delete;
  TargetSets(TargetSets&&) = delete;
  TargetSets& operator=(TargetSets&&) = delete;
  ~TargetSets() = default;

  [[nodiscard]] TargetSet& everyone() const { return everyone_; }
  // Of one engine, which remembers it.
  TargetSet& add_bound() { return make(true); }
  // Of these engines, sorted, or teams. Null where it has to be added.
  [[nodiscard]] TargetSet* find(const std::vector<int>& engines) const { return find_in(by_engines_, engines); }
  [[nodiscard]] TargetSet* find(const Teams& teams) const { return find_in(by_teams_, teams); }
  TargetSet& add(const std::vector<int>& engines) { return *by_engines_.emplace(engines, &make(false)).first->second; }
  TargetSet& add(const Teams& teams) { return *by_teams_.emplace(teams, &make(false)).first->second; }

  // Each of them costs its engines a little whenever they have finished something.
  [[nodiscard]] bool many() const { return by_engines_.size() > most_remembered || by_teams_.size() > most_remembered; }
  // Takes out those that have no work.
  std::vector<std::unique_ptr<TargetSet>> take_unused();

  [[nodiscard]] const std::vector<std::unique_ptr<TargetSet>>& all() const { return all_; }
  [[nodiscard]] const std::map<Teams, TargetSet*>& of_teams() const { return by_teams_; }

  // Queues are numbered in the order in which they are made.
  std::uint64_t number_queue() { return queues_++; }

 private:
  static constexpr std::size_t most_remembered = 64;

  TargetSet& make(bool bound) {
    all_.push_back(std::make_unique<TargetSet>());
    all_.back()->bound = bound;
    return *all_.back();
  }
  template <class Map>
  static TargetSet* find_in(const Map& map, const typename Map::key_type& key) {
    const auto known = map.find(key);
    return known == map.end() ? nullptr : known->second;
  }

  std::vector<std::unique_ptr<TargetSet>> all_;
  TargetSet& everyone_;
  std::map<std::vector<int>, TargetSet*> by_engines_;
  std::map<Teams, TargetSet*> by_teams_;
  std::uint64_t queues_ = 0;
};

}  // namespace rankview::scheduler

namespace rankview::scheduler {

// How far the turns of each priority have come: what a queue that gets work is to begin with, so that it has not saved up what it did not
// use before. Once many priorities are known, those without work are forgotten now and then, since a program may use a new one for each
// task.
//
// Cost: logarithmic in the number of priorities; crowded() and forget() amortised constant for each that comes.
class Turns {
 public:
  [[nodiscard]] double of(std::int32_t priority) const {
    const auto known = turns_.find(priority);
    return known == turns_.end() ? 0 : known->second;
  }
  void set(std::int32_t priority, double turn) { turns_[priority] = turn; }

  [[nodiscard]] std::size_t size() const { return turns_.size(); }
  // Whether there are so many that it is time to forget some.
  [[nodiscard]] bool crowded() const { return turns_.size() > most_; }
  // Forgets those for which `unused(priority)` holds. What still knows a turn of these must begin anew.
  template <class Unused>
  void forget(Unused unused) {
    std::erase_if(turns_, [&unused](const auto& turn) { return unused(turn.first); });
    most_ = std::max(few, 2 * turns_.size());
  }

 private:
  static constexpr std::size_t few = 64;

  std::map<std::int32_t, double> turns_;
  std::size_t most_ = few;
};

}  // namespace rankview::scheduler

#include <queue>
#include <random>

// Who runs what, and when: queues of work, what engines have in hand, and the decision what to hand out next. Pure: no MPI, no threads,
// no clock of its own, so that it can be tested and simulated by itself.
namespace rankview::scheduler {

// Hands out by priority, and in order of submission, to the engine with the least in hand. What different submitters want, and what is for
// different sets of engines, takes turns by the time it takes (start-time fair queueing; Goyal, Vin and Cheng, SIGCOMM 1996).
//
// An engine gets one item at a time until durations of that kind of call are known; then as many as it will finish within Limits::batch,
// with the next batch ahead of need, so that messages cost little and their latency is hidden. What one engine has of a
// kind is no more than has ended of it, since a few durations say little, and no more than its share of what is left. What turns out to
// wait behind a long item, or behind more than seemed to be there, is recalled: soon when somebody else has nothing to do, and behind a
// long one after a while in any case, since it would be begun out of turn.
//
// Work that takes slots of an engine is not handed out ahead of need, and never more than there is room for. Work of one size is handed out
// in order, and past what needs more room, if it would not be begun otherwise; but for what comes first an engine is kept until there is
// room, so that it gets its turn (the reservation of backfilling; Lifka, The ANL/IBM SP scheduling system, 1995).
//
// Cost of a grant: amortised constant in the number of items and engines, logarithmic in the number of distinct target sets, submitters
// and priorities that have work. Policies other than least_load: linear in the number of engines that may take more.
class Scheduler {
 public:
  explicit Scheduler(Limits limits = {}) : limits_(limits) {}

  // `slots`: so much work that is not to have an engine for itself it runs side by side.
  void add_engine(int engine, std::uint16_t slots = 1);
  // The engine is gone. Gives what it had in hand, and what nobody is left to run: of work for several engines together, all of it.
  struct Lost {
    std::vector<Range> in_hand;
    std::vector<Range> stranded;
  };
  Lost lose_engine(int engine);
  // The engine does not answer: it is handed nothing, and what only it may run waits, until take_back() or lose_engine(). Gives what it had
  // in hand, which counts against it no longer; not so what it says of that from here on.
  std::vector<Range> set_aside(int engine);
  // It answers again, and has nothing in hand.
  void take_back(int engine);
  // Hands out nothing until resume().
  void pause() { paused_ = true; }
  void resume() { paused_ = false; }

  // False if there is no engine that may run it. What was tried everywhere may be tried again.
  bool submit(const Work& work, const Placement& placement = {});
  // One item, if nothing waits and somebody who may run it has nothing to do. If so it is handed out, to whom next() would hand it.
  bool submit_at_once(const Work& work, const Placement& placement, Grant& grant);

  // The next grant. False if nothing can be handed out before an engine has finished something.
  bool next(Grant& grant);

  // An engine has ended items [begin, end) of a call, after `busy` in all.
  void finished(int engine, std::uint64_t call, std::uint64_t begin, std::uint64_t end, Nanoseconds busy);
  // So many of the items that an engine has begun wait for others: it can run something else meanwhile.
  void suspended(int engine, std::uint64_t items);

  // Whether an engine is to be asked for something back that others could begin sooner. To be called now and then, with the time.
  std::optional<Recall> recall(Nanoseconds now);
  // Likewise all that engines have, others may run, and which has not begun as far as is known.
  std::vector<Recall> recall_all();
  // What an engine has given back of a Recall. It waits again, in its old place.
  void returned(int engine, const std::vector<Range>& ranges);

  // Drops what has not been handed out of a call.
  void withdraw(std::uint64_t call, const Placement& placement);
  // The same for one item, not of what several engines are to run at once. Whether it was there. Cost: linear in what waits in pieces.
  bool withdraw(std::uint64_t call, std::uint64_t item, const Placement& placement);

  // Items that wait to be handed out.
  [[nodiscard]] std::uint64_t waiting() const { return waiting_; }
  // Whether an engine has nothing to do.
  [[nodiscard]] bool any_idle() const { return engines_.idle() != 0; }
  // Whether engines run more than one thing side by side.
  [[nodiscard]] bool slotted() const { return engines_.most_slots() > 1; }
  // Whether there may be something to recall.
  [[nodiscard]] bool unbalanced() const { return engines_.crowded() != 0 && engines_.live() > 1; }
  [[nodiscard]] Load load(int engine) const;
  // Priorities of which it knows how far their turns have come: those that have work, and a few.
  [[nodiscard]] std::size_t priorities() const { return turns_.size(); }
  [[nodiscard]] bool live(int engine) const { return engines_.live(engine); }
  [[nodiscard]] bool aside(int id) const { return engine(id).aside; }
  [[nodiscard]] bool paused() const { return paused_; }

 private:
  Engine& engine(int id) { return engines_[id]; }
  [[nodiscard]] const Engine& engine(int id) const { return engines_[id]; }
  Rest& rest(const Engine& engine) { return engines_.rest(engine.id); }
  [[nodiscard]] const Rest& rest(const Engine& engine) const { return engines_.rest(engine.id); }

  // Target sets, and who is in them.
  void stretch_limits();
  TargetSet& target_set_for(const Placement& placement);
  TargetSet& bound_set(int id);
  TargetSet& target_set_for(const std::vector<int>& engines);
  TargetSet& target_set_for(const std::vector<std::vector<int>>& teams);
  void join(TargetSet& targets, Engine& engine);
  // Those of the target sets that it is in of which `leaves` is true.
  template <class Leaves>
  void leave(Engine& engine, Leaves leaves) {
    auto& joined = rest(engine).target_sets;
    std::erase_if(joined, [&leaves](const Membership& membership) { return leaves(membership.targets); });
    engine.joined = !joined.empty();
  }
  [[nodiscard]] bool in(const TargetSet& targets, const Engine& engine) const;
  Listed& listed(const TargetSet& targets, Engine& engine);
  void drop_unused_target_sets();

  // Queues.
  Queue& queue_for(TargetSet& targets, const Terms& terms, std::vector<int> avoid);
  static void drop_if_unused(Queue& queue);
  void skip_over(Queue& queue);
  [[nodiscard]] std::optional<std::vector<int>> avoided(const TargetSet& targets, const Terms& terms) const;
  SharedTerms terms_of(TargetSet& targets, const Work& work);
  void submit_together(const Work& work, const std::vector<int>& engines);
  bool enqueue(Entry entry);
  void insert(Queue& queue, Entry entry);
  // Calls `f` with the target sets that work of this placement stands in.
  template <class F>
  void for_target_sets(const Placement& placement, F f);
  void wait_for_gang(Queue& queue, Gang& gang);
  void set_runnable(TargetSet& targets);
  void set_runnable(Queue& queue);
  void forget_turns();

  // Who wants something, and who is to get it.
  void offer(Engine& engine);
  void offer(TargetSet& targets, Engine& engine) { offer(targets, listed(targets, engine), engine); }
  void offer(TargetSet& targets, Listed& listed, Engine& engine);
  void unlist(TargetSet& targets, Engine& engine);
  [[nodiscard]] bool wants(const TargetSet& targets, const Engine& engine) const;
  [[nodiscard]] bool accepts(const Engine& engine, const Queue& queue, const Entry& entry) const;
  int pick(Queue& queue);
  int take_first(Queue& queue, std::deque<int>& list, bool idle);
  int draw(Queue& queue);
  [[nodiscard]] std::uint64_t portion(const Engine& engine, const Entry& entry) const;

  // Slots.
  [[nodiscard]] bool has_room(const Engine& engine, const Terms& terms) const;
  [[nodiscard]] bool kept_from(const Engine& engine, const Queue& queue) const;
  void keep_engine(Queue& queue);
  void release(Queue& queue);

  // What engines have in hand.
  [[nodiscard]] double stretched(Nanoseconds limit) const { return static_cast<double>(limit) * stretch_; }
  [[nodiscard]] std::optional<double> time_in_hand(const Engine& engine) const;
  [[nodiscard]] std::uint64_t items_of(const Engine& engine, const Duration& kind) const;
  [[nodiscard]] std::size_t assignments(const Engine& engine) const;
  [[nodiscard]] const Assignment& assignment(const Engine& engine, std::size_t index) const {
    return index == 0 ? engine.oldest : rest(engine).backlog[index - 1];
  }
  void insert(Engine& engine, std::size_t index, Assignment assignment);
  void erase(Engine& engine, std::size_t index);
  void cut(Engine& engine, std::size_t index, std::uint64_t first, std::uint64_t end);
  void assign(Engine& engine, const Entry& entry, std::uint64_t begin, std::uint64_t end);
  void let_go(Engine& engine, std::size_t index, std::uint64_t begin, std::uint64_t end);
  std::vector<Range> take_in_hand(Engine& engine);
  [[nodiscard]] bool team_present(const TargetSet& targets, const Engine& first) const;

  // Recall.
  [[nodiscard]] bool overdue(Engine& engine, Nanoseconds now);
  [[nodiscard]] bool overloaded(const Engine& engine) const;
  std::vector<Range> recallable(Engine& engine, bool to_takers);
  bool has_taker(TargetSet& targets, const Avoid* avoid);

  Limits limits_;
  double stretch_ = 1;  // of the limits, for so many engines
  Roster engines_;
  TargetSets target_sets_;
  // Queues that have both work and takers, the one that comes first on top. What stands there under another key than the queue has is
  // stale.
  using Runnable = std::pair<Key, Queue*>;
  std::priority_queue<Runnable, std::vector<Runnable>, std::greater<>> runnable_;
  Turns turns_;
  Durations durations_;
  SharedTerms last_terms_;   // the last ones made
  std::deque<Grant> ready_;  // decided and not yet asked for
  std::uint64_t waiting_ = 0;
  bool paused_ = false;
  std::minstd_rand random_;
};

}  // namespace rankview::scheduler

namespace rankview::controller {

using Grants = boost::container::small_vector<scheduler::Grant, 1>;

// Items that wait for an engine: says to the scheduler what a call wants, and knows how long they may.
class TaskQueue {
 public:
  explicit TaskQueue(const Engines& engines);

  // All items of a call, which are known; but for those that somebody can begin at once, since nothing waits. Where `at_once` is not null
  // they are put there, and are to be handed out.
  void enqueue(const detail::Call& call, Grants* at_once = nullptr);
  // Those of one block, of a call whose items may begin as they come.
  void enqueue(const detail::Call& call, const detail::ArgumentBlock& block, Grants* at_once = nullptr);
  // Some of a block.
  void enqueue(const detail::Call& call, const detail::ArgumentBlock& block, std::uint64_t first, std::uint64_t count);
  // One item once more, and not on these engines if that can be helped. `alone`: its engine should have nothing else meanwhile. False if
  // nobody may run it.
  bool enqueue_again(detail::Call& call, std::uint64_t item, scheduler::Avoid avoid, bool alone);
  // What was to be enqueued and nobody is left to run.
  [[nodiscard]] bool any_stranded() const { return !stranded_.empty(); }
  std::vector<scheduler::Range> take_stranded() { return std::exchange(stranded_, {}); }

  // Takes out what of a call, or whether the one item, stands in a queue.
  void withdraw(const detail::Call& call);
  void withdraw(const detail::Call& call, std::uint64_t item);

  // Whether to see what engines could give back, which is done every 100 microseconds. `now`: nanoseconds of the clock.
  bool recall_due(std::int64_t now) {
    if (now < next_recall_) return false;
    next_recall_ = now + 100'000;
    return true;
  }

  // Of calls that have a queue_timeout.
  [[nodiscard]] Timers& timers() { return timers_; }
  [[nodiscard]] scheduler::Scheduler& scheduler() { return scheduler_; }
  [[nodiscard]] const scheduler::Scheduler& scheduler() const { return scheduler_; }

 private:
  [[nodiscard]] inline scheduler::Work work_for(const detail::Call& call, std::uint64_t first, std::uint64_t count,
                                                const detail::ArgumentBlock& block) const;
  void submit(const scheduler::Work& work, const scheduler::Placement& placement, Grants* at_once);

  scheduler::Scheduler scheduler_;
  std::vector<scheduler::Range> stranded_;
  std::int64_t next_recall_ = 0;
  Timers timers_;
};

// Whether a call's items are handed to the scheduler as they come, since their places do not depend on how many there are.
[[nodiscard]] bool enqueued_as_they_come(const detail::Call& call);

}  // namespace rankview::controller

namespace rankview::controller {

// The teams of engines that rank 0 has made for its views, and what it does in their collective calls.
//
// A team is announced to its engines with the first call that wants it. Making its communicators blocks, so rank 0 waits with it until all
// of them have come to that point, and then goes on with other things meanwhile, since one of them may die. The parts that rank 0 has in a
// team's calls are done one after the other, in the order in which the calls were handed out; those of different teams go on side by side.
class Teams {
 public:
  // So many teams are kept for the next call on the same engines.
  static constexpr std::size_t most = 64;

  // A call is being handed out to these engines: their team, announced to them if it is new.
  std::uint64_t enter(const std::vector<int>& members, Engines& engines);
  // The call is over.
  void leave(std::uint64_t team);

  // Rank 0 has a part in a call that is being handed out to the team. It begins with the next progress(), when the engines have been told.
  void begin(std::uint64_t team, std::shared_ptr<detail::Call> call);

  // An engine has died: the teams that it was in are given up, and made again without it. Gives the calls in which rank 0 had a part.
  std::vector<std::shared_ptr<detail::Call>> lose(int engine);

  // An engine waits for a team to be made. True if that was the last.
  void on_join(std::uint64_t team, int engine);

  // Makes teams whose engines all wait, and takes rank 0's parts further. `over` is called with each call whose part has ended. Whether
  // anything happened, or data is on the move. `work`: makes room for what may have constructors of the program's.
  bool progress(transport::Endpoint& endpoint, const Engines& engines, UserWork& work, const std::function<void(detail::Call&)>& over);

  // Whether rank 0 has nothing to do in any of them.
  [[nodiscard]] bool idle() const { return busy_.empty(); }

 private:
  enum class Phase : std::uint8_t { handed_out, vote, room, announcement, data };
  class MakingRoom;
  // Where data goes that comes to rank 0.
  struct Room {
    bool there = false;
    std::byte* to = nullptr;
  };

  // Rank 0's part in a call, as far as it has come.
  struct Part {
    std::shared_ptr<detail::Call> call;
    Phase phase = Phase::handed_out;
    unsigned rounds = 0;
    std::vector<transport::Vote> votes;
    std::vector<std::uint64_t> counts;
    transport::Vote own;
    transport::Verdict verdict;
    std::shared_ptr<Room> room;  // while it is being made
    std::byte* to = nullptr;
    transport::Team::Begun begun;
  };

  struct Team {
    std::uint64_t number = 0;
    std::vector<int> engines;
    std::size_t joining = 0;
    std::unique_ptr<transport::Assembly> assembly;  // while it is being made
    std::unique_ptr<transport::Team> made;
    std::deque<Part> parts;
    std::size_t calls = 0;
    std::uint64_t used = 0;
  };

  void drop_unused(Engines& engines);
  // Whether the first part has ended, and whether it got any further.
  struct Moved {
    bool any = false;
    bool over = false;
  };
  static Moved move(Team& team, UserWork& work);
  static void start(Team& team, Part& part);
  static bool next(Team& team, Part& part, UserWork& work);
  static void decide(Part& part, UserWork& work);
  static void make_room(Part& part, std::uint64_t count, UserWork& work);

  std::map<std::uint64_t, Team> teams_;
  std::map<std::vector<int>, std::uint64_t> by_engines_;
  std::set<std::uint64_t> broken_;   // numbers of those that were given up
  std::vector<std::uint64_t> busy_;  // teams that are being made, or that have parts
  std::uint64_t next_number_ = 1;
  std::uint64_t assembling_ = 0;  // the team that is being made, one at a time, or 0
  std::uint64_t turns_ = 0;       // that have been
  std::uint64_t uses_ = 0;
};

}  // namespace rankview::controller

#include <rankview/detail/kept_result.hpp>

namespace rankview::controller {

// How results that are arguments come to the engine that wants them; see Options::forward_results.
struct Forwarding {
  ForwardResults when = ForwardResults::never;
  std::uint64_t machine = 0;  // which rank 0 is on
};

// Hands tasks out: what the scheduler grants becomes messages to the engines.
class Dispatcher {
 public:
  Dispatcher(const CallRegistry& calls, TaskQueue& queue, Engines& engines, ItemLedger& ledger, UserWork& work, Teams& teams,
             Forwarding forwarding);

  // Everything that may be handed out now. The messages lie in the engines' outboxes.
  void dispatch();
  // One of them. Whoever calls this may send.
  void grant(const scheduler::Grant& grant);
  // Tells the engines which of items [begin, limit) that they were handed are not wanted any more.
  void stop(const detail::Call& call, std::uint64_t begin, std::uint64_t limit);
  // Items that were granted to engines that have died before they could be handed out: they wait, and stand in no queue.
  [[nodiscard]] bool any_orphans() const { return !orphans_.empty(); }
  std::vector<TaskId> take_orphans() { return std::exchange(orphans_, {}); }
  // An engine that has a long argument of the call and nothing to do, or -1. While anything waits, it may be about to be handed that.
  [[nodiscard]] int engine_with_arguments(const detail::Call& call) const;

 private:
  class ArgumentOrigins;
  class Encoding;

  void hand_out(detail::Call& call, const scheduler::Grant& grant);
  bool encode_for(detail::Call& call, const scheduler::Grant& grant);
  [[nodiscard]] detail::Origin::Kind origin(const detail::Call& result, int to) const;
  void enter_team(detail::Call& call);
  void enter_team(detail::Call& call, const scheduler::Grant& grant);
  void write_object(detail::Call& call, int engine);
  void write_batch(const detail::Call& call, const detail::ArgumentBlock& block, int engine, bool slow, std::uint64_t begin,
                   std::uint64_t end);

  const CallRegistry& calls_;
  TaskQueue& queue_;
  Engines& engines_;
  ItemLedger& ledger_;
  UserWork& work_;
  Teams& teams_;
  Forwarding forwarding_;
  std::vector<TaskId> orphans_;
  std::uint64_t next_ticket_;  // of what engines deliver to each other; those of another run may still be known there
};

}  // namespace rankview::controller

namespace rankview::controller {

// What whoever drives does again and again, under the lock.
class Round {
 public:
  // Whether anything happened.
  virtual bool round() = 0;
  // Goes on with what has become possible.
  virtual void advance() = 0;
  // Whether there is nothing to wait for.
  [[nodiscard]] virtual bool idle() const = 0;

 protected:
  ~Round() = default;
};

// Who drives: MPI makes progress only when somebody calls it, so whoever waits holds the controller's lock and runs rounds until what it
// waits for is there. When nobody waits, a thread of its own, the progress thread, does so now and then.
//
// All that the controller has is guarded by the one lock here. Code of the user's is run without it.
class Driver {
 public:
  struct Settings {
    transport::IdleLimits idle;
    transport::Clock clock;
    bool progress_thread = false;
    bool any_thread_drives = true;  // else only the one that initialised MPI
  };

  Driver(Round& round, UserWork& work, const Settings& settings);
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;
  ~Driver();

  // Drives until `ready()`, which is called under the lock, or the deadline. Whether it became ready. A continuation that waits runs others
  // meanwhile only if it may wait for them, or they would pile up.
  template <class Ready>
  bool drive(const detail::Deadline& deadline, Ready ready, bool for_continuations);
  // Some rounds, if nobody else is at it.
  void try_progress();
  // Under the lock: takes what has arrived, but for a flood. Whether anything had.
  bool catch_up(int most_rounds);

  // Takes the lock for as long as what it gives lives.
  [[nodiscard]] Visit visit() const { return {lock_, work_}; }
  // Whether the lock can be had within that time; for who may be called in the middle of anything.
  [[nodiscard]] bool reachable(std::chrono::milliseconds time);
  // Runs `action` under the lock if it can be had within that time. Whether it could.
  template <class Action>
  bool try_locked(std::chrono::milliseconds time, Action action) {
    if (!lock_.try_lock_for(time)) return false;
    const std::lock_guard guard(lock_, std::adopt_lock);
    action();
    return true;
  }
  [[nodiscard]] bool may_drive() const;

  // The run is over. Behind this the thread holds nothing any more, such as the last handle of a call, and with it of the run.
  void stop_progress_thread();
  // Something has been begun that nobody is about to wait for.
  void wake_progress_thread();
  // Under the lock, such a call has been submitted at that time. Whether to leave it, with others that come in a burst, to be handed out
  // together a little later; the progress thread sees to the last of them. Not so if somebody could begin with one.
  [[nodiscard]] bool holds_back(std::int64_t submitted, bool somebody_could_begin);
  // Under the lock: whoever makes call after call keeps things going, so that the progress thread need not.
  void note_attended() { attended_.store(true, std::memory_order_relaxed); }

 private:
  // Counts a driver while it drives.
  class Driving {
   public:
    explicit Driving(std::atomic<int>* drivers) : drivers_(drivers) {
      if (drivers_ != nullptr) drivers_->fetch_add(1, std::memory_order_relaxed);
    }
    Driving(const Driving&) = delete;
    Driving& operator=(const Driving&) = delete;
    ~Driving() {
      if (drivers_ != nullptr) drivers_->fetch_sub(1, std::memory_order_relaxed);
    }

   private:
    std::atomic<int>* drivers_;
  };

  void run_progress_thread();

  bool run_user_code(Visit& visit, bool continues);

  Round& round_;
  UserWork& work_;
  const Settings settings_;
  mutable SharedLock lock_;
  transport::SpinTime spin_;
  std::int64_t last_submission_ = 0;   // of a call that nobody was about to wait for
  unsigned held_back_ = 0;             // such calls that were not handed out at once
  std::atomic<bool> attended_{false};  // see note_attended()
  std::atomic<int> drivers_{0};        // threads that wait and drive; the progress thread leaves the work to them
  std::atomic<int> state_{0};          // of the progress thread
  transport::Thread thread_;
};

template <class Ready>
bool Driver::drive(const detail::Deadline& deadline, Ready ready, bool for_continuations) {
  const bool drives = may_drive();
  const bool continues = drives && (for_continuations || ContinuationQueue::running_here() == 0);
  const Driving driving(drives ? &drivers_ : nullptr);
  Visit visit(lock_, work_);
  transport::Idle idle(spin_);
  while (!ready()) {
    if (drives && (!work_.empty() || (continues && !work_.continuations().empty()))) {
      // It may take its time, in which others drive.
      drivers_.fetch_sub(1, std::memory_order_relaxed);
      run_user_code(visit, continues);
      drivers_.fetch_add(1, std::memory_order_relaxed);
      idle.reset();
      continue;
    }
    if (drives && round_.round()) {
      idle.reset();
      if (lock_.wanted()) lock_.let_others_in();
      if (work_.much_left()) visit.let_go();
      // Where data is on the move, round follows round.
      if (settings_.clock.simulated()) {
        visit.unlock();
        settings_.clock.spin();
        visit.lock();
      }
      continue;
    }
    if (deadline && settings_.clock.steady_now() >= *deadline) return false;
    auto pause = idle.pause();
    if (pause.count() == 0) {
      if (!drives || lock_.wanted()) lock_.let_others_in();
      continue;
    }
    if (deadline) pause = std::min<std::chrono::nanoseconds>(pause, *deadline - settings_.clock.steady_now());
    visit.unlock();
    settings_.clock.nap(pause);
    visit.lock();
  }
  idle.reset();
  return true;
}

}  // namespace rankview::controller

#include <typeinfo>

namespace rankview::controller {

// The checkpoints that a run has opened, by directory, until it ends. Thread-safe.
class Checkpoints {
 public:
  // For all of them; see Checkpoint::Settings.
  struct Settings {
    checkpoint::Disk& disk;
    transport::Clock clock;
    std::chrono::milliseconds lease{0};
    std::function<void()> attend;
  };

  explicit Checkpoints(Settings settings) : settings_(std::move(settings)) {}

  // Throws UsageError if the directory cannot be used. Reads what there is the first time.
  std::shared_ptr<checkpoint::Checkpoint> open(const std::string& directory);
  // Waits until all that was added is on disk, or the disk takes no more, or for so long each.
  void flush(std::optional<std::chrono::milliseconds> limit = std::nullopt);
  // From here on nobody is called.
  void stop_sharing();
  // The run has ended: other jobs may have at once what was this one's.
  void leave();
  // Throws UsageError if something else of that name and version was called in this run.
  void tell_apart(const checkpoint::Callable& callable, const std::type_info& type, const void* function);

 private:
  [[nodiscard]] std::vector<std::shared_ptr<checkpoint::Checkpoint>> all();
  [[nodiscard]] std::shared_ptr<checkpoint::Checkpoint> read(const std::string& directory) const;

  const Settings settings_;
  std::mutex mutex_;
  std::condition_variable opened_;
  std::set<std::string> opening_;  // those that somebody reads just now
  std::map<std::string, std::shared_ptr<checkpoint::Checkpoint>> open_;
  std::map<std::string, std::shared_ptr<checkpoint::Checkpoint>> named_;  // the same, as callers name them
  std::map<std::pair<std::string, std::string>, std::pair<const std::type_info*, const void*>> callables_;  // by name and version
};

}  // namespace rankview::controller

namespace rankview::controller {

// Of calls that have a checkpoint: has their results kept, and puts in place what earlier runs have kept. Of calls that the database of
// tasks is to have whole: tells the recorder the values of items.
class ResultKeeper {
 public:
  // `recorder`: hears of values, null for nobody.
  ResultKeeper(ItemLedger& ledger, UserWork& work, Checkpoints::Settings settings, Recorder* recorder = nullptr)
      : ledger_(ledger), work_(work), recorder_(recorder), checkpoints_(std::move(settings)) {}

  // The directories that they are kept in; has a lock of its own.
  [[nodiscard]] Checkpoints& checkpoints() { return checkpoints_; }

  // The value of an item is in its place. It is kept, and the item ends: at once, or, if that is to be strict, when it is on disk.
  void keep(detail::Call& call, std::uint64_t item);
  // Items from `first` on, which rank 0 has begun, end with what was found of them.
  void recall(detail::Call& call, std::uint64_t first, detail::Recalled&& found);

  // Whether no item waits for the disk, though one may have to be written or read.
  [[nodiscard]] bool empty() const { return waiting_.empty(); }
  // Ends those whose results are on disk. Whether there were any.
  bool progress();

 private:
  class Saving;
  class Recalling;

  // An item whose result is not handed out before it is on disk.
  struct Waiting {
    std::shared_ptr<detail::Call> call;
    std::uint64_t item = 0;
    std::uint64_t addition = 0;
  };

  void add(detail::Call& call, std::uint64_t item, std::span<const std::byte> value);
  void end(detail::Call& call, std::uint64_t item, std::exception_ptr error);

  ItemLedger& ledger_;
  UserWork& work_;
  Recorder* const recorder_;
  Checkpoints checkpoints_;
  std::deque<Waiting> waiting_;
};

}  // namespace rankview::controller

namespace rankview::controller {

// Puts results where the client will find them. What is long arrives on its own, straight into its place.
class ResultTransfers {
 public:
  ResultTransfers(transport::Endpoint& endpoint, const transport::Clock& clock, ItemLedger& ledger, UserWork& work, ResultKeeper& keeper);
  ResultTransfers(const ResultTransfers&) = delete;
  ResultTransfers& operator=(const ResultTransfers&) = delete;
  ~ResultTransfers();

  // Takes in the value of an item, which ends when it has been read and everything that belongs to it has arrived.
  void receive(transport::Frame& frame, detail::Call& call, std::uint64_t item, std::span<const std::byte> value) {
    if (!call.plain || !frame.attachment_sizes.empty() || call.life().abandoned || call.life().saves) {
      receive_any(frame, call, item, value);
      return;
    }
    detail::Claims nothing({});
    std::exception_ptr error = read(call, item, value, nothing);
    const Status status = error ? Status::failed : Status::completed;
    ledger_.finished(call, item, status, std::move(error));
  }
  // What is attached to the message is not wanted, and is received for nothing.
  void drop(const transport::Frame& frame);
  // Behind the last of several values of one call.
  void flush();

  // A peer has died: gives up what is on its way from there, and what it has announced.
  void forget(int peer);
  // Items whose values did not come, since whoever sent them has died.
  [[nodiscard]] bool any_lost() const { return !lost_.empty(); }
  std::vector<TaskId> take_lost() { return std::exchange(lost_, {}); }

  // Whether nothing is on its way, though something may have to be read.
  [[nodiscard]] bool empty() const { return under_way_.empty() && unwanted_.empty(); }
  // Whether parts of the call's results are being written into their places.
  [[nodiscard]] bool writing(const detail::Call& call) const;
  // Ends the items of which everything has arrived. Whether there were any.
  bool progress();

 private:
  class Reading;

  // A result of which something is on its way.
  struct Incoming {
    int peer = -1;
    std::unique_ptr<transport::Transfer> transfer;
    std::shared_ptr<detail::Call> call;
    std::uint64_t item = 0;
    std::exception_ptr error;  // what there was cannot be read, and the rest is received for nothing
  };

  // Reads a value into its place. The error if that throws.
  static std::exception_ptr read(detail::Call& call, std::uint64_t item, std::span<const std::byte> value,
                                 detail::Claims& claims) noexcept {
    try {
      detail::Reader in(value, &claims);
      call.load(item, in);
      return nullptr;
    } catch (...) {
      return unreadable(call, item);
    }
  }
  static std::exception_ptr unreadable(const detail::Call& call, std::uint64_t item);
  void receive_any(transport::Frame& frame, detail::Call& call, std::uint64_t item, std::span<const std::byte> value);
  void arrived(detail::Call& call, std::uint64_t item, std::exception_ptr error);
  void has_read(const transport::Frame& frame, detail::Call& call, std::uint64_t item, const std::vector<detail::Claims::Place>& places,
                std::exception_ptr error);

  transport::Endpoint& endpoint_;
  const transport::Clock& clock_;
  ItemLedger& ledger_;
  UserWork& work_;
  ResultKeeper& keeper_;
  std::unique_ptr<Reading> collecting_;  // values that are read together
  std::vector<Incoming> under_way_;
  std::vector<std::pair<int, std::unique_ptr<transport::Transfer>>> unwanted_;  // from whom
  std::vector<int> forgotten_;                                                  // peers
  std::vector<TaskId> lost_;
};

}  // namespace rankview::controller

namespace rankview::controller {

// How far a run has come: open for calls, perhaps draining, closing, when engines have been told that no more comes, and closed, when none
// of them is left.
//
// Changed under the controller's lock; may be asked without it.
class RunState {
 public:
  [[nodiscard]] bool open() const { return phase() == Phase::open; }
  // Whether engines may still say something.
  [[nodiscard]] bool connected() const { return phase() != Phase::closed; }
  // Whether tasks of pools are not handed out any more.
  [[nodiscard]] bool draining() const { return draining_.load(std::memory_order_acquire); }
  // Why, under the lock.
  [[nodiscard]] const std::string& why_draining() const { return why_draining_; }

  // False if it does so already, or closes.
  bool begin_draining(std::string why) {
    if (draining() || !open()) return false;
    why_draining_ = std::move(why);
    draining_.store(true, std::memory_order_release);
    return true;
  }
  // So many tasks have ended so. Under the lock.
  void note_given_back() { ++given_back_; }
  [[nodiscard]] std::uint64_t given_back() const { return given_back_; }

  void begin_closing() { phase_.store(Phase::closing, std::memory_order_release); }
  void close() { phase_.store(Phase::closed, std::memory_order_release); }

 private:
  enum class Phase : std::uint8_t { open, closing, closed };

  [[nodiscard]] Phase phase() const { return phase_.load(std::memory_order_acquire); }

  std::atomic<Phase> phase_{Phase::open};
  std::atomic<bool> draining_{false};
  std::string why_draining_;
  std::uint64_t given_back_ = 0;
};

}  // namespace rankview::controller

namespace rankview::controller {

// Whether an item is tried again, and where it was tried before.
//
// Also knows which attempts have run out of time: such a task goes on until it ends, and then has nothing to say any more.
class RetryPolicy {
 public:
  explicit RetryPolicy(const RunState& run) : run_(run) {}

  // An attempt has failed. Whether there is to be another.
  bool retry_after(detail::Call& call, std::uint64_t item, int engine, const std::exception_ptr& error);
  // The engine's predicate says that the item cannot run there.
  static void note_refusal(detail::Call& call, std::uint64_t item, int engine);
  // Where the next attempt is better not made.
  [[nodiscard]] static scheduler::Avoid avoid(const detail::Call& call, std::uint64_t item);
  // Whether the engine should have nothing else then, so that it is known what it ran if it dies.
  [[nodiscard]] static bool suspect(const detail::Call& call, std::uint64_t item);
  // The engines that have died of it, in lines of text.
  [[nodiscard]] static std::string list_deaths(const detail::Call& call, std::uint64_t item);
  // How the attempts before the last one failed.
  [[nodiscard]] static std::vector<std::string> earlier_errors(const detail::Call& call, std::uint64_t item);

  // The engine has died, and says nothing more of any.
  void forget_expired(int engine) {
    std::erase_if(expired_, [engine](const auto& attempt) { return std::get<0>(attempt) == engine; });
  }
  // An attempt has run out of time.
  void note_expired(int engine, std::uint64_t call, std::uint64_t item) { expired_.emplace(engine, call, item); }
  [[nodiscard]] bool any_expired() const { return !expired_.empty(); }
  [[nodiscard]] bool expired(int engine, std::uint64_t call, std::uint64_t item) const { return expired_.contains({engine, call, item}); }
  // An attempt has ended on an engine. Whether it had run out of time before.
  bool take_expired(int engine, std::uint64_t call, std::uint64_t item) { return expired_.erase({engine, call, item}) != 0; }

 private:
  const RunState& run_;
  std::set<std::tuple<int, std::uint64_t, std::uint64_t>> expired_;  // engine, call and item
};

}  // namespace rankview::controller

#include <bitset>

namespace rankview::controller {

// Items that wait for a lease, since other jobs use their checkpoint, too: they stand in no queue until this job has the bucket that they
// fall into. Buckets are got one after the other, when the engines will soon have nothing else, and given back when all that had begun of
// them has ended.
class Shares {
 public:
  explicit Shares(const CallRegistry& calls) : calls_(calls) {}

  // From here on it may be split, whether or not anything of it is to be run: others may have to wait until this job says so. Only one that
  // has a Sharing.
  void add(const std::shared_ptr<checkpoint::Checkpoint>& in);
  // Whether look() may have anything to say; asked in each round.
  [[nodiscard]] bool any_to_look_at() const;
  // How many items wait for other jobs, or for this one to have less to do; of some it may not be known yet that they have been given up.
  [[nodiscard]] std::size_t waiting() const;
  // Whether items of the call have to be asked for here before they are enqueued. Of calls with a checkpoint.
  [[nodiscard]] bool splits(const detail::Call& call) const;
  // Keeps those of the items [begin, end) that wait and are not this job's now. Gives the others.
  std::vector<std::uint64_t> withhold(const detail::Call& call, std::uint64_t begin, std::uint64_t end);
  // Forgets all items of a checkpoint, which are told anew.
  void forget(const checkpoint::Checkpoint* in);
  // Items that are with engines.
  void note_begun(const detail::Call& call, std::uint64_t item);

  // What is to be done about it, after a look at what has changed.
  struct Round {
    // Of these, what waits is to be withheld, and what has been handed out noted as begun; then tell_begun().
    std::vector<const checkpoint::Checkpoint*> to_split;
    // May be found now, or run, by call.
    std::map<std::uint64_t, std::vector<std::uint64_t>> released;
  };
  // These are looked for, or enqueued; until then they are not withheld.
  void note_released(const detail::Call& call, const std::vector<std::uint64_t>& items);
  // `needs`: the engines will soon have nothing else.
  [[nodiscard]] Round look(std::int64_t now, bool needs, std::size_t engines);
  void tell_begun(const checkpoint::Checkpoint* in);

 private:
  static constexpr std::uint32_t buckets = checkpoint::Leases::buckets;

  struct Share {
    std::shared_ptr<checkpoint::Checkpoint> in;
    bool splits = false;
    bool wants = false;
    std::int64_t wanted_at = 0;
    std::bitset<buckets> held;
    std::array<std::vector<TaskId>, buckets> withheld;
    std::array<std::vector<TaskId>, buckets> begun;
  };

  Share& share_of(const detail::Call& call);
  void hear(Share& share, Round& round);
  void release(Share& share, std::uint32_t bucket, Round& round);
  void give_back_idle(Share& share);
  void want_more(Share& share, std::int64_t now, std::size_t engines);
  [[nodiscard]] bool waits(const TaskId& task) const;
  [[nodiscard]] bool runs(const TaskId& task) const;

  const CallRegistry& calls_;
  std::map<const checkpoint::Checkpoint*, Share> shares_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> releasing_;  // by call
  std::int64_t next_look_ = 0;
};

}  // namespace rankview::controller

namespace rankview::controller {

// Tasks that several engines run together and that have thrown on one of them, while others have not ended them: those may wait in MPI for
// the one that threw, and cannot be called back, nor told from who computes. After a while that is an error of the whole job.
class StuckTeams {
 public:
  StuckTeams(const CallRegistry& calls, std::chrono::milliseconds grace) : calls_(calls), grace_(grace) {}

  [[nodiscard]] bool empty() const { return suspects_.empty(); }
  // The task has thrown on one engine, at `now` in nanoseconds of the clock.
  void note(const detail::Call& call, std::uint64_t item, std::int64_t now, const std::exception_ptr& error);
  // Forgets those that have ended. Ends the process if one has not for longer than the grace period.
  void check(std::int64_t now);

 private:
  struct Suspect {
    std::uint64_t call = 0;
    std::uint64_t item = 0;  // where teams run items
    std::int64_t since = 0;
    std::exception_ptr error;
  };

  const CallRegistry& calls_;
  const std::chrono::milliseconds grace_;
  std::vector<Suspect> suspects_;
};

}  // namespace rankview::controller

namespace rankview::inline abi_0_1::detail {

namespace transport = rankview::transport;
namespace scheduler = rankview::scheduler;
namespace wire = rankview::wire;

struct ControllerSettings {
  controller::Driver::Settings driver;
  std::vector<controller::EngineInfo> engines;  // engine k is the k-th
  std::chrono::milliseconds grace{10'000};
  std::chrono::milliseconds team_grace{60'000};
  std::chrono::milliseconds lease{0};  // how long a job may be silent that has tasks of a checkpoint; 0: jobs do not split them
  controller::Forwarding forwarding;
  controller::Teams* teams = nullptr;                  // outlives the controller, for the next run's
  controller::Recorder* recorder = nullptr;            // likewise; null where nobody wants to hear
  bool keeps_all = false;                              // it hears the values of all items
  std::shared_ptr<controller::TaskArchive> archive;    // null where there is none
  liveness::Signs* signs = nullptr;                    // likewise, of peers; null where nobody listens
  std::function<void(int rank)> put_down;              // ends the process of an engine that does not answer, where that can be done
  checkpoint::Disk* disk = &checkpoint::posix_disk();  // outlives it
  std::string ends_with_an_engine;                     // what to say when an engine dies and the job ends with it, or nothing
};

// Rank 0's side: takes calls from clients, has the scheduler decide, talks to the engines, and puts results in place.
//
// What it knows lies in the rooms that are its members; here is the order in which they are gone through. One lock, the driver's, guards
// all of them.
class Controller final : private transport::FrameHandler, private controller::Round {
 public:
  Controller(transport::Endpoint& endpoint, const ControllerSettings& settings);
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;
  // Behind it no thread of a checkpoint comes here.
  ~Controller() { keeper_.checkpoints().stop_sharing(); }

  // ---- for clients; each takes the lock ----

  // Makes a call known, gives it its number and makes room for the items that are expected.
  void begin(const std::shared_ptr<Call>& call, std::optional<std::uint64_t> expected);
  // Adds the next block of its items. `drives`: engines are seen to as well.
  void extend(Call& call, ArgumentBlock&& block, std::span<const checkpoint::Key> keys = {}, bool drives = true);
  // Or of items whose results were found, and are not to be run.
  void recall(Call& call, Recalled&& found, bool drives);
  // A call is about to be made that has this checkpoint, which other jobs may use, too.
  void share(const std::shared_ptr<checkpoint::Checkpoint>& checkpoint);
  // No more items come: those whose place depends on their number get it. `unattended`: nobody is about to wait.
  void seal(Call& call, bool unattended);
  // All three for a call of one block.
  void submit(const std::shared_ptr<Call>& call, ArgumentBlock&& block, bool unattended);

  // See Driver::drive().
  template <class Ready>
  bool drive(const Deadline& deadline, Ready ready, bool for_continuations = false) {
    return driver_.drive(deadline, ready, for_continuations);
  }
  // Some rounds, if nobody else is at it.
  void try_progress() { driver_.try_progress(); }
  // Runs `action` under the lock.
  template <class Action>
  auto locked(Action action) const {
    const auto visit = driver_.visit();
    return action();
  }

  // The call will not be completed by its maker: gives up what waits, and lets the rest end.
  void cancel(Call& call);
  void abort(Call& call);
  // One item of it; where engines run them together, all.
  void abort(Call& call, std::uint64_t item);
  void abort_all(const std::string& why);
  void abort_if(const std::function<bool(const Call&)>& wanted);
  // Nobody has a handle of it any more.
  void abandon(Call& call) noexcept;

  // Hands out no more tasks of pools: what waits, and what engines have not begun, ends with Draining, which says why. What runs goes on,
  // and so do calls of direct views. Once; each takes the lock. `sends`: the caller may call MPI; otherwise whoever drives next sends.
  void drain(std::string why, bool sends);
  // Then: has tasks that still run told to stop.
  void hurry();
  [[nodiscard]] bool draining() const { return run_.draining(); }
  [[nodiscard]] std::string why_draining() const;
  // How many tasks have ended so.
  [[nodiscard]] std::uint64_t given_back() const;

  // For calls that rank 0 runs itself; each takes the lock.
  void begin_local(const std::shared_ptr<Call>& call);
  bool enter_local(Call& call);
  void end_local(Call& call, std::exception_ptr error);
  // False if the call is done.
  bool add(Call& call, const std::shared_ptr<Continuation>& continuation);

  // Under the lock: whether all that was submitted is done.
  [[nodiscard]] bool idle() const override { return calls_.in_flight() == 0 && !work_.busy() && !work_.continuations().busy(); }
  // The number of the next call, if nothing is under way. Takes the lock.
  [[nodiscard]] std::optional<std::uint64_t> resting() const;
  // Items that wait on rank 0. Under the lock.
  [[nodiscard]] std::uint64_t waiting() const { return queue_.scheduler().waiting(); }
  [[nodiscard]] int engine_count() const { return engines_.count(); }
  [[nodiscard]] const controller::EngineInfo& engine(int id) const { return engines_[id]; }
  // Those that live, and what is known of the others; each takes the lock.
  [[nodiscard]] std::vector<int> live_engines() const;
  [[nodiscard]] std::vector<LostEngine> lost() const;
  [[nodiscard]] controller::Checkpoints& checkpoints() { return keeper_.checkpoints(); }
  // The database of tasks, with what has happened so far. Throws UsageError if there is none.
  [[nodiscard]] controller::TaskArchive& archive();
  [[nodiscard]] bool lost(int engine) const;
  // The error of a view of that engine, which is lost.
  [[nodiscard]] std::exception_ptr lost_error(int engine) const;
  // Has `f` called, as a continuation is, with each engine that is lost from here on.
  void on_lost(std::function<void(const LostEngine&)> f);
  // How many engines have died; takes the lock.
  [[nodiscard]] std::uint64_t deaths() const {
    return locked([this] { return engines_.losses().deaths(); });
  }
  // Whether any engine is lost.
  [[nodiscard]] bool any_lost() const { return engines_.losses().any(); }
  [[nodiscard]] QueueStatus queue_status(const std::vector<int>& engines) const;
  // How many tasks engines have done in this run; takes the lock.
  [[nodiscard]] std::uint64_t completed() const;
  [[nodiscard]] std::int64_t now() const { return settings_.driver.clock.now(); }
  // Whether the run has not ended.
  [[nodiscard]] bool open() const { return run_.connected(); }

  // The call with tasks that the client names, null if it has ended and nobody keeps it. Throws UsageError for what never was.
  [[nodiscard]] std::shared_ptr<Call> named(const Prerequisite& tasks) const;

  // Ends the run: tells all engines and waits until each has said goodbye. After Ending::failed, an engine that does not answer within the
  // grace period ends the process.
  void close(wire::Ending ending, int exit_code, const std::string& reason);
  // Whether it can be reached within a second, by an exit handler.
  [[nodiscard]] bool reachable() { return driver_.reachable(std::chrono::seconds(1)); }
  // What is under way, in lines of text; from any thread, and soon, whatever the others do.
  [[nodiscard]] std::string describe();

 private:
  class FirstEncoding;
  class Release;
  using MakeError = controller::ItemLedger::MakeError;

  // Calls, from their submission to their end.
  void add(const std::shared_ptr<Call>& call);
  void add(Call& call, ArgumentBlock&& block);
  void enqueue(Call& call, const ArgumentBlock* block);
  void enqueue_rest(Call& call);
  void enqueue_ours(Call& call, std::uint64_t begin, std::uint64_t end);
  void enqueue_runs(Call& call, const std::vector<std::uint64_t>& items);
  bool look_at_shares();
  void attend_to_shares();
  void split(const checkpoint::Checkpoint* in);
  void note_keys(Call& call, std::span<const checkpoint::Key> keys);
  void lay_out(Call& call);
  void make_room(Call& call);
  void release(Call& call, std::vector<int>&& engines);
  void enqueue_released(Call& call, const std::exception_ptr& error);
  void fail_impossible(Call& call, const TaskId& cause);
  void mark_aborted(Call& call);
  void withdraw(Call& call, Status status, const MakeError& error);
  void withdraw(Call& call, const std::string& why);
  void withdraw_waiting(Call& call, std::uint64_t item);
  [[nodiscard]] bool gives_back(const Call& call) const;
  void give_back(Call& call);
  void give_back(Call& call, std::uint64_t begin, std::uint64_t end);
  void give_back(Call& call, std::uint64_t item, const char* what);
  void note_given_back(Call& call);
  [[nodiscard]] std::exception_ptr draining_error(const char* what) const;
  void end_root_part(Call& call);
  void end(Call& call);
  void leave_teams(const Call& call);

  // What a round consists of, and what other visits end with.
  bool round() override;
  void advance() override;
  void carry_out();
  void decide();
  void answer_subtasks();
  bool end_calls();
  void attend(std::int64_t submitted);
  void recall();
  void ask_back(const scheduler::Recall& recall);
  void check_timers();

  // What engines say.
  void on_frame(transport::Frame& frame) override;
  void on_record(transport::Frame& frame, int engine, const wire::Record& record);
  void on_results(transport::Frame& frame, int engine, const wire::Results& results);
  inline bool on_result(transport::Frame& frame, Call& call, std::uint64_t item, int engine, const wire::ItemResult& result,
                        std::int64_t began, std::int64_t received);
  bool on_failure(Call& call, std::uint64_t item, int engine, std::span<const std::byte> value);
  void on_overdue(int engine, const wire::Overdue& overdue);
  void on_returned(int engine, const wire::Returned& returned);
  void on_late_return(int engine, const wire::Returned& returned);
  void tell_suspended(int engine);
  void on_published(const wire::Published& published);
  void on_printed(int engine, const wire::Printed& printed);
  void on_subtask(int engine, const wire::Subtask& subtask);
  void on_late_results(transport::Frame& frame, int engine, const wire::Results& results);
  void resubmit(Call& call, std::uint64_t item);

  // What is heard of their lives.
  void hear_signs();
  void lose(int engine, const liveness::Sign& sign);
  void set_aside(int engine, const liveness::Sign& sign);
  void take_back(int engine);
  void give_up(int engine, const liveness::Sign& sign);
  void tell_lost(const LostEngine& lost);
  void lose_item(Call& call, std::uint64_t item, int engine, bool ran, bool suspect, const std::string& death, LostEngine& lost);
  void strand(const scheduler::Range& range, int engine);
  void settle_strays();
  void deal_teams_anew(Call& call);
  void lose_part_of_team(Call& call, std::uint64_t item, int engine, bool ran, bool suspect, const std::string& death, LostEngine& lost);
  [[nodiscard]] std::string why_failed(const Call& call, std::uint64_t item) const;
  [[nodiscard]] bool somebody_left(const Call& call) const;
  [[nodiscard]] bool any_strays() const {
    return queue_.any_stranded() || dispatcher_.any_orphans() || transfers_.any_lost() || ledger_.any_left_by_teams();
  }
  [[nodiscard]] int missing_engine(const Call& call, std::uint64_t item) const;
  void forget_results_on(int engine);

  const ControllerSettings settings_;
  controller::RunState run_;
  mutable controller::UserWork work_;
  controller::Engines engines_;
  controller::CallRegistry calls_;
  controller::DependencyGate gate_;
  controller::ItemLedger ledger_;
  controller::TaskQueue queue_;
  controller::Teams& teams_;
  controller::Dispatcher dispatcher_;
  controller::RetryPolicy retries_;
  controller::ResultKeeper keeper_;
  controller::Shares shares_;
  controller::ResultTransfers transfers_;
  controller::StuckTeams stuck_teams_;
  mutable controller::Driver driver_;  // goes first, and its thread with it
};

}  // namespace rankview::detail

namespace rankview::controller {

// Several recorders, as one.
class Recorders final : public Recorder {
 public:
  void add(Recorder& recorder) { all_.push_back(&recorder); }
  // Null if there is none, itself if there are several.
  [[nodiscard]] Recorder* get() { return all_.empty() ? nullptr : all_.size() == 1 ? all_.front() : this; }

  void run_begins(const std::vector<EngineInfo>& engines) override {
    for (Recorder* each : all_) each->run_begins(engines);
  }
  void submitted(const detail::Call& call) override {
    for (Recorder* each : all_) each->submitted(call);
  }
  void granted(const detail::Call& call, std::uint64_t begin, std::uint64_t end, int engine) override {
    for (Recorder* each : all_) each->granted(call, begin, end, engine);
  }
  void retried(const detail::Call& call, std::uint64_t item) override {
    for (Recorder* each : all_) each->retried(call, item);
  }
  void ending(const detail::Call& call, std::uint64_t item, const std::span<const std::byte>* value) override {
    for (Recorder* each : all_) each->ending(call, item, value);
  }
  void printed(const detail::Call& call, std::uint64_t item, int engine, const capture::Texts& texts) override {
    for (Recorder* each : all_) each->printed(call, item, engine, texts);
  }
  void ended(const detail::Call& call, std::uint64_t begin, std::uint64_t end) override {
    for (Recorder* each : all_) each->ended(call, begin, end);
  }
  void engine_lost(const LostEngine& lost) override {
    for (Recorder* each : all_) each->engine_lost(lost);
  }
  void over(const detail::Call& call) override {
    for (Recorder* each : all_) each->over(call);
  }
  void run_ends(bool failed, const std::string& reason) override {
    for (Recorder* each : all_) each->run_ends(failed, reason);
  }

 private:
  std::vector<Recorder*> all_;
};

}  // namespace rankview::controller

#include <stop_token>

namespace rankview::engine {

// An item whose result has been folded into that of its neighbours.
struct FoldedItem {
  std::uint64_t item;
  std::int64_t started;
  std::int64_t completed;
};

// All that belongs to the item that runs. While it waits for a subtask, others run with an ItemRun of their own, so that nothing of one
// is visible to another.
struct ItemRun {
  // Where it stands in its batch.
  std::uint64_t call = 0;
  std::uint64_t item = 0;
  std::uint64_t end = 0;     // behind the batch's last item
  std::uint64_t number = 0;  // the batch's, in the inbox
  std::uint64_t team = 0;    // whose engines run it with a communicator, or 0
  bool movable = false;      // what has not begun may be given back
  std::int64_t began = 0;    // nanoseconds of the clock, when the item did

  std::int64_t deadline = 0;                    // nanoseconds of the clock, 0 for none
  bool told_overdue = false;                    // rank 0 knows that it has run out of time
  std::optional<std::stop_source> stop_source;  // where it has asked for one

  detail::Writer result;                        // what it gave, or why it failed
  const std::type_info* result_type = nullptr;  // of what owns the result's attachments
  std::shared_ptr<void> folded;                 // what a thunk keeps from item to item where results are folded
  std::vector<FoldedItem> folded_items;         // what that is made of

  ItemRun* waiting = nullptr;  // that which waits for a subtask while this one runs
};

}  // namespace rankview::engine

namespace rankview::engine {

// A message of which something is still needed: a batch that has not been run to its end, a callable's state, a delivery.
struct InMessage {
  detail::Buffer bytes;
  std::vector<std::uint64_t> attachment_sizes;
  bool received = true;  // what is attached, if anything is
  transport::Frame frame;
  detail::Writer local;
};

// What rank 0 wants done and has not been begun, and what of it is not wanted any more.
class Inbox {
 public:
  struct Command {
    std::variant<wire::Batch, wire::Join, wire::Disband> what;
    std::shared_ptr<InMessage> message;  // of a batch
    std::uint64_t number = 0;            // they are numbered as they come
  };

  Inbox() = default;
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  // Takes over what a frame holds. The records are those of the message from here on. Messages must not outlive this.
  std::shared_ptr<InMessage> take_in(transport::Frame& frame);
  // What belonged to messages from this process that nobody needs any more: the user's, to be destroyed where no lock is held.
  [[nodiscard]] bool anything_left() const { return !left_.empty(); }
  std::vector<std::shared_ptr<const void>> take_left() { return std::exchange(left_, {}); }

  void push(Command command) {
    command.number = ++pushed_;
    commands_.push_back(std::move(command));
  }
  [[nodiscard]] bool empty() const { return commands_.empty(); }
  [[nodiscard]] std::size_t size() const { return commands_.size(); }
  // The next one; there has to be one.
  [[nodiscard]] const Command& front() const { return commands_.front(); }
  Command pop();
  // Takes out all batches, but for those that others would miss this engine in.
  std::vector<Command> take_batches();

  // Takes out what rank 0 wants back and has not begun, also of batches that have: that of `running`, and those that wait behind it. What
  // engines run together is never asked for; what has attachments stays, since these have arrived here.
  wire::Returned give_back(const wire::Recall& recall, ItemRun& running);
  // Everything that others may run.
  wire::Returned give_back_all(ItemRun& running);

  // Items that are not wanted any more; the engine may be given some of them anew, in a command behind this.
  void stop(const wire::Stop& stop) { stops_.emplace_back(stop, pushed_); }
  // `number`: of the command that wants the item run.
  [[nodiscard]] bool stopped(std::uint64_t call, std::uint64_t item, std::uint64_t number) const {
    return !stops_.empty() && any_stop(call, item, number);
  }
  // All that was here when they were stopped is over.
  void forget_stops() { stops_.clear(); }

 private:
  void leave(detail::Writer& local);
  [[nodiscard]] bool any_stop(std::uint64_t call, std::uint64_t item, std::uint64_t number) const;

  std::vector<std::shared_ptr<const void>> left_;
  std::deque<Command> commands_;
  std::uint64_t pushed_ = 0;
  std::vector<std::pair<wire::Stop, std::uint64_t>> stops_;  // each with how many commands had come
  std::shared_ptr<InMessage> last_;                          // used again when nobody needs it any more
};

}  // namespace rankview::engine

namespace rankview::engine {

// The callables of calls that have some state, which rank 0 sends once a call and tasks refer to.
class CallableStates {
 public:
  struct State {
    std::span<const std::byte> bytes;
    std::shared_ptr<InMessage> message;  // which they lie in
    std::shared_ptr<const void> object;  // null until a task has needed it
  };

  void add(const wire::CallableState& object, const std::shared_ptr<InMessage>& message) {
    states_[object.call] = {object.state, message, nullptr};
  }
  // Null if there is none.
  [[nodiscard]] State* find(std::uint64_t call) {
    const auto found = states_.find(call);
    return found == states_.end() ? nullptr : &found->second;
  }
  // The call is over. Gives the object: the user's, to be destroyed where no lock is held.
  std::shared_ptr<const void> drop(std::uint64_t call) {
    const auto dropped = states_.extract(call);
    return dropped.empty() ? nullptr : std::move(dropped.mapped().object);
  }
  // All calls are over.
  std::vector<std::shared_ptr<const void>> clear() {
    std::vector<std::shared_ptr<const void>> objects;
    for (auto& [call, state] : states_) objects.push_back(std::move(state.object));
    states_.clear();
    return objects;
  }

 private:
  std::unordered_map<std::uint64_t, State> states_;
};

}  // namespace rankview::engine

namespace rankview::engine {

class TaskHost;

// Where the calling thread's task runs, null if it has none.
TaskHost* current();
// The same, but not for threads that tasks have started.
TaskHost* running_here();

// While it lives, the calling thread is one of the host's.
class RunningHere {
 public:
  explicit RunningHere(TaskHost* host);
  RunningHere(const RunningHere&) = delete;
  RunningHere& operator=(const RunningHere&) = delete;
  ~RunningHere();

 private:
  TaskHost* before_;
};

// While it lives, the host runs tasks in the calling thread.
class ServingHere {
 public:
  // `own_process`: and so any thread of the process belongs to a task of its, unlike the client of a run of one rank.
  ServingHere(TaskHost& host, bool own_process);
  ServingHere(const ServingHere&) = delete;
  ServingHere& operator=(const ServingHere&) = delete;
  ~ServingHere();

 private:
  RunningHere here_;
  bool own_process_;
};

}  // namespace rankview::engine

namespace rankview::engine {

// Attachments that are received for nothing, since whoever sends them waits until they are.
class UnwantedAttachments {
 public:
  // Begins to receive those of the message, if nobody has. Throws std::bad_alloc.
  void receive(transport::Endpoint& endpoint, InMessage& message);
  // The peer has died: nothing more comes from it.
  void forget(int peer);
  // Whether some are on their way.
  bool progress() { return !transfers_.empty() && any_left(); }

 private:
  bool any_left();

  // From whom, and what is on its way.
  std::vector<std::pair<int, std::unique_ptr<transport::Transfer>>> transfers_;
};

// What other engines deliver to this one: results that are arguments of tasks here.
//
// Rank 0 tells the one engine to deliver a result and the other, with the batch whose task it is for, that it will come; both always, so
// that the second can rely on it, and takes it in even if the task does not run.
class Deliveries {
 public:
  // Either may be known first: that it is wanted, or the message.
  struct Delivery {
    bool wanted = true;
    int from = -1;                         // the engine that delivers, once that is known
    std::shared_ptr<InMessage> message{};  // null until it is here
    bool found = false;                    // the other engine had the result
    std::span<const std::byte> value{};    // in the message
  };
  using Messages = std::vector<std::shared_ptr<InMessage>>;

  // The engine has been given the batch. `lost`: engines that have died.
  void expect(const wire::Batch& batch, const std::set<int>& lost);
  // The batch is over, or will not be run. Gives the messages that came for it and were not taken; others are not wanted when they come.
  Messages expect_no_more(const wire::Batch& batch);
  // One has come. Gives its message if it is not wanted.
  Messages arrived(const wire::Delivery& record, const std::shared_ptr<InMessage>& message);

  // The engine has died: what has not come from it does not. Gives messages that are not wanted.
  Messages forget(int engine);

  // For the task it is for.
  [[nodiscard]] const Delivery& at(std::uint64_t ticket) const { return known_.at(ticket); }
  void take(std::uint64_t ticket) { known_.erase(ticket); }

  // Begins to receive what is attached to the message for nothing, if nobody has begun. Throws std::bad_alloc.
  void receive_unwanted(transport::Endpoint& endpoint, InMessage& message) { unwanted_.receive(endpoint, message); }
  // Whether some of that is on its way.
  bool progress() { return unwanted_.progress(); }
  // Whether something is still to come that is not wanted.
  [[nodiscard]] bool any_unwanted() const;

 private:
  static void end_without(Delivery& delivery);
  void drop_unwanted(std::map<std::uint64_t, Delivery>::iterator delivery, Messages& dropped);

  std::map<std::uint64_t, Delivery> known_;  // by ticket, those that have not been taken
  UnwantedAttachments unwanted_;
};

}  // namespace rankview::engine

namespace rankview::engine {

// Who may touch the engine's state: the loop, which has it nearly always, except while it is in a task; then the progress thread. Handing
// it over costs the loop a store before each task and an exchange after it.
class EngineLock {
 public:
  void unlock() { held_.store(false, std::memory_order_release); }
  void lock() {
    while (held_.exchange(true, std::memory_order_acquire)) wait();
  }
  bool try_lock() { return !held_.exchange(true, std::memory_order_acquire); }

  // In a child that the task has forked, which is no engine: nobody gets it any more, and who wants it ends the child.
  void withhold() {
    forked_ = true;
    held_.store(true, std::memory_order_relaxed);
  }

  // Lends it, for a while, to whoever wants it: around all code of the user's.
  class Lent {
   public:
    explicit Lent(EngineLock& lock) : lock_(lock) { lock_.unlock(); }
    Lent(const Lent&) = delete;
    Lent& operator=(const Lent&) = delete;
    ~Lent() { lock_.lock(); }

   private:
    EngineLock& lock_;
  };

 private:
  void wait() const;

  std::atomic<bool> held_{true};
  bool forked_ = false;
};

}  // namespace rankview::engine

namespace rankview::engine {

// What can be sent of the exception that is being handled, whatever it is.
wire::Failure describe_current_exception();

// Stands for an exception of the user's that has been described and destroyed where no lock was held: what it says, and how it ends, is
// code of theirs.
struct Described {
  wire::Failure failure;
};

// Type, message and, if it comes from a task, place of the exception that is being handled, which nobody else will.
std::string describe_uncaught();

}  // namespace rankview::engine

namespace rankview::engine {

// The thread that serves: which one it is, how it waits and for what, and when it last looked for messages.
class Loop {
 public:
  explicit Loop(const transport::IdleLimits& limits) : spin_(limits) {}
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // The calling thread serves from here on.
  void begin() { thread_ = std::this_thread::get_id(); }
  [[nodiscard]] bool in_this_thread() const { return thread_ == std::this_thread::get_id(); }

  // How long its waits spin, which each of them teaches.
  [[nodiscard]] transport::SpinTime& spin() { return spin_; }

  // Between short tasks it looks for messages every 50 microseconds. `now`: nanoseconds of the clock.
  [[nodiscard]] bool look_due(std::int64_t now) const { return now - last_look_ >= 50'000; }
  void note_look(std::int64_t now) { last_look_ = now; }

  // What it waits for where it is in no task; from any thread.
  [[nodiscard]] const char* waits_for() const { return waits_for_.load(std::memory_order_relaxed); }
  // While it lives, that is what it waits for.
  class WaitingFor {
   public:
    WaitingFor(Loop& loop, const char* what) : loop_(loop), before_(loop.waits_for_.exchange(what)) {}
    WaitingFor(const WaitingFor&) = delete;
    WaitingFor& operator=(const WaitingFor&) = delete;
    ~WaitingFor() { loop_.waits_for_ = before_; }

   private:
    Loop& loop_;
    const char* before_;
  };

 private:
  std::thread::id thread_;
  transport::SpinTime spin_;
  std::int64_t last_look_ = 0;
  std::atomic<const char*> waits_for_{"messages"};
};

}  // namespace rankview::engine

namespace rankview::engine {

// When to tell rank 0 how much memory the variables take: when nothing has come for a while after tasks, and for a twentieth of the time
// at most, since counting may take long.
class MemoryReport {
 public:
  // A run begins: nothing has been told.
  void reset() { *this = {}; }
  // Tasks have run, which may have changed it.
  void note_tasks() { due_ = true; }
  // Nobody has sent anything, once more. Whether to count now.
  [[nodiscard]] bool due_after_look() { return due_ && ++idle_looks_ > looks_before; }
  // Something was sent.
  void note_message() { idle_looks_ = 0; }
  [[nodiscard]] bool too_early(std::int64_t now) const { return now < not_before_; }
  // It was counted, from `begin` to `end`. Whether it is something else than was last told.
  [[nodiscard]] bool counted(const wire::Memory& memory, std::int64_t begin, std::int64_t end) {
    not_before_ = end + share * (end - begin);
    due_ = false;
    const wire::Memory last = std::exchange(told_, memory);
    return memory.variables != last.variables || memory.bytes != last.bytes;
  }

 private:
  static constexpr unsigned looks_before = 16;
  static constexpr std::int64_t share = 20;

  wire::Memory told_;
  bool due_ = true;
  unsigned idle_looks_ = 0;
  std::int64_t not_before_ = 0;
};

}  // namespace rankview::engine

namespace rankview::engine {

// What goes to rank 0 next. Results wait a little for company.
class Outbox {
 public:
  // Results wait so long, in nanoseconds and bytes.
  static constexpr std::int64_t flush_after = 50'000;
  static constexpr std::size_t flush_bytes = 32 * 1024;

  // From here on messages leave by this endpoint.
  void attach(transport::Endpoint& endpoint) { endpoint_ = &endpoint; }
  void detach() { endpoint_ = nullptr; }
  // By which all of the engine's messages come and go.
  [[nodiscard]] transport::Endpoint& endpoint() const { return *endpoint_; }

  template <class Record>
  void write(const Record& record) {
    wire::write(message_, record);
    results_.close();
  }
  // The result of an item; `value` is left without attachments. What is long leaves at once.
  void add_result(std::uint64_t call, std::uint64_t item, std::int64_t started, std::int64_t completed, bool failed, detail::Writer& value);
  // The next result begins a record of its own.
  void close_results() { results_.close(); }

  // Sends all.
  void flush() {
    if (!message_.empty()) send();
  }
  [[nodiscard]] bool full() const { return message_.size() >= flush_bytes; }
  // Sends what has been published, unless something of that was sent a moment ago.
  void flush_published(std::int64_t now) {
    if (now - last_published_ < flush_after && !full()) return;
    last_published_ = now;
    flush();
  }
  // Whether there is a result that has waited for long enough.
  [[nodiscard]] bool due(std::int64_t now) const { return oldest_result_ != 0 && now - oldest_result_ >= flush_after; }
  [[nodiscard]] bool has_results() const { return oldest_result_ != 0; }

 private:
  void send();

  transport::Endpoint* endpoint_ = nullptr;
  transport::Message message_;
  wire::ResultsWriter results_{message_};
  std::int64_t oldest_result_ = 0;  // when the first unsent one was finished, 0 if all are sent
  std::int64_t last_published_ = 0;
};

}  // namespace rankview::engine

namespace rankview::engine {

// A second thread that does for a long task what the engine's loop does between short ones. Sleeps while the engine has nothing to do;
// else it looks once a period whether the loop is still in the same item.
class ProgressThread {
 public:
  // `beat` is called in the thread, once for each period that one item takes.
  explicit ProgressThread(std::function<void()> beat);
  ProgressThread(const ProgressThread&) = delete;
  ProgressThread& operator=(const ProgressThread&) = delete;
  ~ProgressThread();

  // Until start() there is none, and nothing else has an effect.
  void start(const transport::Clock& clock);

  // The loop, which alone calls this, begins an item.
  void note_item() { items_begun_.store(items_begun_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }
  // There is something to do.
  void wake() {
    if (thread_.joinable() && activity_.load(std::memory_order_relaxed) == parked) {
      activity_ = busy;
      activity_.notify_one();
    }
  }
  // There is nothing to do.
  void park() {
    if (activity_.load(std::memory_order_relaxed) == busy) activity_ = parked;
  }

 private:
  static constexpr int parked = 0;
  static constexpr int busy = 1;
  static constexpr int quitting = 2;

  void run();

  std::function<void()> beat_;
  std::atomic<std::uint64_t> items_begun_{0};
  std::atomic<int> activity_{parked};
  transport::Clock clock_;
  transport::Thread thread_;
};

}  // namespace rankview::engine

namespace rankview::engine {

// The latest long results of this engine, for tasks that take them as arguments, here or on other engines. Oldest first, evicted from the
// front beyond 128 MiB.
class ResultCache {
 public:
  struct Entry {
    std::uint64_t call;
    const std::type_info* type;
    std::shared_ptr<const void> value;
    std::size_t bytes;
    std::vector<std::byte> encoded;
    std::vector<detail::Attachment> attachments;  // which lie in the value
  };

  // Keeps the whole result of a call, if it is long and its value owns what is attached. Gives what had to go for it: the user's, to be
  // destroyed where no lock is held.
  std::deque<Entry> add(std::uint64_t call, const detail::Writer& result, const std::type_info* type);
  // Null if it is not there any more.
  [[nodiscard]] const Entry* find(std::uint64_t call) const;
  // Empties it, and gives what there was.
  std::deque<Entry> clear();

 private:
  static constexpr std::size_t most_bytes = std::size_t{128} << 20;

  std::deque<Entry> entries_;
  std::size_t bytes_ = 0;
};

}  // namespace rankview::engine

namespace rankview::engine {

// How the run ends, once rank 0 has said so.
class RunEnd {
 public:
  // `now`: nanoseconds of the clock.
  void note(const wire::End& end, std::int64_t now) {
    end_ = end;
    since_ = now;
  }
  [[nodiscard]] bool known() const { return end_.has_value(); }
  [[nodiscard]] bool client_failed() const { return end_ && end_->ending == wire::Ending::failed; }
  // Whether it has failed so long ago.
  [[nodiscard]] bool client_failed_since(std::chrono::nanoseconds time, std::int64_t now) const {
    return client_failed() && std::chrono::nanoseconds(now - since_) > time;
  }
  // What rank 0 has said; it has to be known.
  [[nodiscard]] const wire::End& operator*() const { return *end_; }
  [[nodiscard]] const wire::End* operator->() const { return &*end_; }
  // That, and the next run begins.
  wire::End take() { return *std::exchange(end_, std::nullopt); }

 private:
  std::optional<wire::End> end_;
  std::int64_t since_ = 0;
};

}  // namespace rankview::engine

#include <pthread.h>

namespace rankview::engine {

// The stack of the thread that makes this.
class Stack {
 public:
  Stack();

  // How far the caller, which must be of that thread, is from its end.
  [[nodiscard]] std::size_t left() const;
  // What a task should find: a quarter, and 16 MiB at most.
  [[nodiscard]] std::size_t reserve() const { return reserve_; }

 private:
  const char* end_ = nullptr;
  std::size_t reserve_ = 0;
};

// A thread with as much stack as the main thread has, also where that has no limit (`ulimit -s unlimited`), for which the system would give
// it 2 MB. Joined by its destructor.
class Thread {
 public:
  Thread() = default;
  // Throws std::system_error if there can be no thread.
  explicit Thread(std::function<void()> run);
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
  Thread(Thread&& other) noexcept;
  Thread& operator=(Thread&& other) noexcept;
  ~Thread() { join(); }

  // Waits for its end, if it was not waited for.
  void join();

 private:
  pthread_t thread_{};
  bool running_ = false;
};

}  // namespace rankview::engine

namespace rankview::engine {

// The item that runs, which `->` reaches, and those behind it, each of which waits for a subtask.
//
// Changed with the engine's lock. Whether the running item is to stop may be asked without it, by the task's threads and the progress
// thread.
class Runs {
 public:
  Runs() = default;
  Runs(const Runs&) = delete;
  Runs& operator=(const Runs&) = delete;

  ItemRun* operator->() { return running_; }
  const ItemRun* operator->() const { return running_; }
  ItemRun& operator*() { return *running_; }
  // Leads to the others by ItemRun::waiting.
  [[nodiscard]] const ItemRun* running() const { return running_; }

  // The running item waits from here on, and others run as `nested`.
  void begin_nested(ItemRun& nested) {
    nested.waiting = running_;
    running_ = &nested;
    ++suspended_;
  }
  // It goes on.
  void end_nested() {
    running_ = running_->waiting;
    --suspended_;
  }
  // Of items that have been begun and wait: how many cannot end before these go on. What stands behind one in its batch cannot begin, and
  // what was folded with those before it cannot be sent.
  [[nodiscard]] std::uint64_t suspended_items() const;

  // Throws UsageError if the stack has no room for a task that runs while others wait for theirs, and `more` bytes. In the thread that
  // serves.
  void check_depth(int engine, std::size_t more);
  // Another thread serves, with a stack of its own.
  void forget_stack() { stack_.reset(); }

  // What others see of the item that runs from here on.
  void show(bool stop_wanted) {
    stop_wanted_.store(stop_wanted, std::memory_order_release);
    deadline_.store(running_->deadline, std::memory_order_relaxed);
  }
  // The item has ended, and cannot run out of time any more.
  void end_deadline() {
    running_->deadline = 0;
    deadline_.store(0, std::memory_order_relaxed);
  }
  void want_stop() { stop_wanted_.store(true, std::memory_order_release); }
  // Whether the item should stop, as somebody wants it or since its time is over. The clock is read where it has a deadline only.
  [[nodiscard]] bool stop_due(const transport::Clock& clock) const {
    return stop_wanted_.load(std::memory_order_acquire) || overdue(clock);
  }
  [[nodiscard]] bool overdue(const transport::Clock& clock) const {
    const std::int64_t deadline = deadline_.load(std::memory_order_relaxed);
    return deadline != 0 && clock.now() > deadline;
  }
  // Whom to ask to stop, if that is due. It runs the task's callbacks, so it must be done without the lock, which they may want.
  [[nodiscard]] std::stop_source due_stop(const transport::Clock& clock) const {
    return running_->stop_source && stop_due(clock) ? *running_->stop_source : std::stop_source(std::nostopstate);
  }

 private:
  ItemRun first_;
  ItemRun* running_ = &first_;
  std::size_t suspended_ = 0;   // how many wait
  std::optional<Stack> stack_;  // of the thread that serves, where tasks have submitted some
  std::atomic<bool> stop_wanted_{false};
  std::atomic<std::int64_t> deadline_{0};
};

}  // namespace rankview::engine

// Tasks that run in a process of their own, so that what becomes of that is no engine's concern.
namespace rankview::isolation {

// Why there can be no child that is not of this process, where there is no process to make it.
inline constexpr const char* no_server =
    "isolation = rv::process needs a process that was made before MPI was initialised, and there is none: start the program with "
    "rv::run(), or use rv::fork";

// What a child is to run, and on what terms.
struct Task {
  wire::CodeAddress thunk;
  wire::CodeAddress function{};  // zero where the callable is no function pointer
  bool has_object = false;
  std::span<const std::byte> object;  // the callable's state
  std::span<const std::byte> arguments;
  std::vector<std::span<const std::byte>> attachments;  // of the arguments
  bool flat = false;                                    // see wire::Batch
  int engine = 0;
  int engines = 1;
  std::int64_t timeout = 0;        // nanoseconds, 0 for none
  std::uint64_t memory_limit = 0;  // bytes of the child and what it starts, 0 for none
  capture::Terms capture;          // what becomes of what it prints
};

// How it ended.
struct Outcome {
  enum class Kind : std::uint8_t {
    value,      // `bytes` and `attachments` are its result
    failed,     // `failure` says why: what it threw, or how the process ended
    timed_out,  // it was killed
    aborted,    // likewise
  };
  Kind kind = Kind::failed;
  std::vector<std::byte> bytes{};
  std::vector<std::vector<std::byte>> attachments{};
  wire::Failure failure{};
  capture::Texts printed{};
};

// Whoever waits for it.
class Watcher {
 public:
  // Whether the task has been given up.
  [[nodiscard]] virtual bool stop_requested() = 0;
  // It has told a value.
  virtual void published(std::string_view name, const char* type, std::span<const std::byte> value) = 0;

 protected:
  ~Watcher() = default;
};

// Runs tasks in children, one at a time. Interface, since a simulation does it without processes.
class Runner {
 public:
  Runner() = default;
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  virtual ~Runner() = default;

  // Returns when the child has given a result or has ended. Throws Error if there can be no child.
  virtual Outcome run(const Task& task, Watcher& watcher) = 0;
};

}  // namespace rankview::isolation

namespace rankview::isolation {

// A task in a slot. What its child tells comes to published(), from any thread.
class SlotTask : public Watcher {
 public:
  SlotTask() = default;
  SlotTask(const SlotTask&) = delete;
  SlotTask& operator=(const SlotTask&) = delete;
  virtual ~SlotTask() = default;

  // Before it is started. What the task refers to has to stay.
  Task task;
  bool forked = false;  // its child is one of this process

  // Before it is started anew.
  void renew() {
    stopped_.store(false, std::memory_order_relaxed);
    outcome = {};
    error = nullptr;
  }

  // It is not wanted any more.
  void stop() { stopped_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool stop_requested() override { return stopped_.load(std::memory_order_relaxed); }

  // When it has ended.
  Outcome outcome;
  std::exception_ptr error;  // there could be no child

 private:
  std::atomic<bool> stopped_{false};
};

// Runs tasks in children, side by side. Interface, since a simulation does it without processes.
class Slots {
 public:
  Slots() = default;
  Slots(const Slots&) = delete;
  Slots& operator=(const Slots&) = delete;
  virtual ~Slots() = default;

  [[nodiscard]] virtual std::size_t size() const = 0;
  // One has to be free.
  virtual void start(std::shared_ptr<SlotTask> task) = 0;
  // Those that have ended and were not taken, in this order.
  [[nodiscard]] virtual bool any_ended() const = 0;
  virtual std::vector<std::shared_ptr<SlotTask>> take_ended() = 0;
};

}  // namespace rankview::isolation

namespace rankview::engine {

[[nodiscard]] inline bool isolated(const Inbox::Command& command) {
  const auto* const batch = std::get_if<wire::Batch>(&command.what);
  return batch != nullptr && batch->isolated;
}

// A batch whose items run one after the other in a slot, and the one of them that runs.
class SlotRun final : public isolation::SlotTask {
 public:
  using Published = std::function<void(const SlotRun& run, std::string_view name, const char* type, std::span<const std::byte> value)>;

  // `published` is called in any thread.
  SlotRun(Inbox::Command command, Published published)
      : batch(std::get<wire::Batch>(command.what)),
        message(std::move(command.message)),
        number(command.number),
        items(batch),
        item(batch.first),
        published_(std::move(published)) {}

  void published(std::string_view name, const char* type, std::span<const std::byte> value) override {
    published_(*this, name, type, value);
  }

  const wire::Batch batch;
  const std::shared_ptr<InMessage> message;
  const std::uint64_t number;  // of the command
  wire::ItemCursor items;      // those that have not begun
  std::uint64_t item;          // the one that runs, or would be next
  std::int64_t began = 0;      // nanoseconds of the clock
  // What the task refers to.
  std::shared_ptr<InMessage> of_object;
  std::vector<std::vector<std::byte>> attachments;

 private:
  Published published_;
};

// What an engine runs side by side.
class SlotRuns {
 public:
  [[nodiscard]] std::size_t size() const { return runs_.size(); }
  [[nodiscard]] const std::vector<std::shared_ptr<SlotRun>>& all() const { return runs_; }

  void add(std::shared_ptr<SlotRun> run) { runs_.push_back(std::move(run)); }
  void remove(const SlotRun& run) {
    std::erase_if(runs_, [&run](const auto& each) { return each.get() == &run; });
  }
  // Tells those that have begun. What has not is for the inbox to know.
  void stop(const wire::Stop& stop) {
    for (const auto& run : runs_) {
      if (run->batch.call == stop.call && run->item >= stop.first && run->item - stop.first < stop.count) run->stop();
    }
  }
  void stop_all() {
    for (const auto& run : runs_) run->stop();
  }

 private:
  std::vector<std::shared_ptr<SlotRun>> runs_;
};

}  // namespace rankview::engine

namespace rankview::engine {

// How the subtasks have ended that tasks here have submitted and still ask for.
class SubtaskResults {
 public:
  struct Answer {
    bool failed;
    std::vector<std::byte> value;  // or how it failed
  };

  // A ticket for another one.
  std::uint64_t add() {
    answers_.emplace(next_ticket_, std::nullopt);
    return next_ticket_++;
  }
  [[nodiscard]] bool answered(std::uint64_t ticket) const { return answers_.at(ticket).has_value(); }
  Answer take(std::uint64_t ticket) { return *std::exchange(answers_.at(ticket), std::nullopt); }
  // Rank 0 has said how it ended. False if nobody asks any more.
  bool ended(const wire::SubtaskResult& result) {
    const auto subtask = answers_.find(result.ticket);
    if (subtask == answers_.end()) return false;
    subtask->second = Answer{result.failed != 0, {result.value.begin(), result.value.end()}};
    return true;
  }
  // Nobody asks any more. Gives the answer, if there was one that nobody has taken.
  std::optional<Answer> forget(std::uint64_t ticket) {
    auto forgotten = answers_.extract(ticket);
    return forgotten.empty() ? std::nullopt : std::move(forgotten.mapped());
  }

 private:
  std::map<std::uint64_t, std::optional<Answer>> answers_;  // by ticket
  std::uint64_t next_ticket_ = 1;
};

}  // namespace rankview::engine

#include <rankview/detail/callable.hpp>
#include <rankview/variables.hpp>

namespace rankview::engine {

// What a task can ask of where it runs: an engine, or a process that an engine had made for it.
class TaskHost {
 public:
  TaskHost() = default;
  TaskHost(const TaskHost&) = delete;
  TaskHost& operator=(const TaskHost&) = delete;
  virtual ~TaskHost() = default;

  [[nodiscard]] virtual int id() const = 0;    // of the engine
  [[nodiscard]] virtual int size() const = 0;  // how many engines there are
  virtual Variables& variables() = 0;
  // The task that runs, or ran last; 0.0 if there is none. Safe in a signal handler.
  [[nodiscard]] virtual TaskId running() const = 0;

  // Whether the running task has been given up. For the task's threads.
  [[nodiscard]] virtual bool stop_requested() = 0;
  // The same as a token, on which callbacks can be set.
  [[nodiscard]] virtual std::stop_token stop_token() = 0;
  // Tells rank 0 a value of the running task. For the task's threads.
  virtual void publish(std::string_view name, const char* type, std::span<const std::byte> value) = 0;

  // For the task's own thread: submits a task, waits for it while it runs others, and forgets it.
  virtual std::uint64_t submit(const detail::Function& function, std::span<const std::byte> arguments, std::size_t stride) = 0;
  [[nodiscard]] virtual bool answered(std::uint64_t ticket) = 0;
  virtual std::vector<std::byte> await(std::uint64_t ticket) = 0;
  virtual void forget(std::uint64_t ticket) = 0;

  // The long result of a call that was made here, if it is still there and of that type, or null. For the task's own thread.
  [[nodiscard]] virtual std::shared_ptr<const void> cached(std::uint64_t call, const std::type_info& type) const = 0;
  // What another engine delivers under a ticket of the running task's; waits for it. For the task's own thread.
  virtual std::unique_ptr<detail::Delivered> take_delivery(std::uint64_t ticket) = 0;

  // Whether the calling thread is the one that runs tasks.
  [[nodiscard]] virtual bool on_own_thread() const = 0;
  // For a child that the task has forked: it must not come back.
  virtual void withhold() = 0;
};

}  // namespace rankview::engine

namespace rankview::engine {

// The teams that this engine is in, the engines that have died, and which of the teams are broken by that.
//
// Changed with the engine's lock; any_broken() may be asked without it.
class Teams {
 public:
  // The engine has been told of a team, and goes to make it.
  void join(std::uint64_t team, std::vector<int> members) {
    const bool without = std::any_of(members.begin(), members.end(), [this](int id) { return dead_.contains(id); });
    Known& known = known_[team];
    known.members = std::move(members);
    known.broken = without;
    if (without) any_broken_ = true;
  }
  // All of the team are there, and may make it in this turn.
  void give_turn(std::uint64_t team, std::uint64_t turn) { turns_[team] = turn; }
  [[nodiscard]] bool may_make(std::uint64_t team) const { return turns_.contains(team); }
  // Its turn, in which the engine goes to make it; it has to have one.
  std::uint64_t begin_making(std::uint64_t team) {
    making_ = team;
    return turns_.extract(team).mapped();
  }
  void made(std::uint64_t team, std::unique_ptr<transport::Team> made) {
    making_ = 0;
    known_.at(team).made = std::move(made);
  }
  void forget_turns() { turns_.clear(); }
  // The team will not be asked for any more.
  void disband(std::uint64_t team) { known_.erase(team); }
  [[nodiscard]] const std::shared_ptr<transport::Team>& at(std::uint64_t team) const { return known_.at(team).made; }

  // An engine has died.
  void lose(int id) {
    dead_.insert(id);
    for (auto& [number, known] : known_) {
      if (std::find(known.members.begin(), known.members.end(), id) == known.members.end()) continue;
      known.broken = true;
      any_broken_ = true;
    }
  }
  [[nodiscard]] bool broken(std::uint64_t team) const {
    const auto found = known_.find(team);
    return found != known_.end() && found->second.broken;
  }
  [[nodiscard]] bool any_broken() const { return any_broken_; }
  [[nodiscard]] const std::set<int>& dead() const { return dead_; }

  // How long the team whose task runs, or that is being made, has been seen to be broken, in nanoseconds: nothing where it is whole.
  // `running`: that whose task runs, or 0; `now`: nanoseconds of the clock.
  std::optional<std::int64_t> broken_for(std::uint64_t running, std::int64_t now) {
    const std::uint64_t team = running != 0 ? running : making_;
    if (team == 0 || !any_broken_ || !broken(team)) {
      broken_seen_ = 0;
      return std::nullopt;
    }
    if (broken_seen_ == 0) broken_seen_ = now;
    return now - broken_seen_;
  }

 private:
  struct Known {
    std::vector<int> members;
    std::shared_ptr<transport::Team> made{};  // null while it is being made
    bool broken = false;
  };

  std::unordered_map<std::uint64_t, Known> known_;
  std::map<std::uint64_t, std::uint64_t> turns_;  // of teams that may be made now
  std::uint64_t making_ = 0;                      // the team that is being made, or 0
  std::set<int> dead_;
  std::int64_t broken_seen_ = 0;  // when broken_for() first saw one, 0 for not
  std::atomic<bool> any_broken_{false};
};

}  // namespace rankview::engine

namespace rankview::liveness {

// A rehearsal: engines die and stall at random moments.
class Chaos {
 public:
  struct Settings {
    double kill = 0;  // the chance, for each task that an engine begins, that it is killed
    double hang = 0;  // that it is stopped for some seconds
    std::uint64_t seed = 0;
  };
  // As RANKVIEW_CHAOS has it: `kill:0.01,hang:0.001,seed:7`, each of which may be missing. Throws UsageError.
  static Settings read(const std::string& text);

  Chaos(const Settings& settings, int rank) : settings_(settings), random_(settings.seed * 1000 + static_cast<std::uint64_t>(rank)) {}

  // A task is about to begin; it may be that this does not return, or late.
  void strike();

 private:
  const Settings settings_;
  std::mt19937_64 random_;
};

}  // namespace rankview::liveness

namespace rankview::engine {

class Group;

struct Settings {
  int id = 0;
  int size = 1;
  transport::IdleLimits idle;
  transport::Clock clock;
  // Whether the process does nothing but serve, so that any thread of it belongs to a task.
  bool own_process = true;
  // Whether a second thread may use the endpoint while a task runs.
  bool progress_thread = false;
  // After the client has failed, so long may the running task go on before the process is ended.
  std::chrono::milliseconds grace{10'000};
  // After another engine of its team has died, so long may a task go on that may wait in MPI for it.
  std::chrono::milliseconds team_grace{60'000};
  // What runs isolated tasks: in a child of a process made before MPI was, null where there is none, and in one of this process.
  isolation::Runner* in_process = nullptr;
  isolation::Runner* in_fork = nullptr;
  // What runs them side by side, null where there is one slot.
  isolation::Slots* slots = nullptr;
  // What takes what tasks print, null where nobody does, and on what terms, those of isolated ones too.
  capture::Outputs* outputs = nullptr;
  capture::Terms capture;
  // Strikes before each task, null where nobody rehearses.
  liveness::Chaos* chaos = nullptr;
};

// Runs what the controller sends, one task after the other, and keeps the variables.
//
// The progress thread does for a long task what the loop does between short ones: sends finished results, receives messages, and ends the
// process when the client has failed and the task does not stop. Which of the two may touch what is here is settled by the lock.
class Engine final : public TaskHost, private transport::FrameHandler {
 public:
  Engine(const Settings& settings, Variables& variables);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine() override = default;

  // Serves until the controller says that it is over; returns how it ended.
  wire::End serve(transport::Endpoint& endpoint);

  // What it does, in a line of text; from any thread, and soon, whatever the others do.
  [[nodiscard]] std::string describe();

  // What the running task asks; see TaskHost.
  [[nodiscard]] int id() const override { return settings_.id; }
  [[nodiscard]] int size() const override { return settings_.size; }
  Variables& variables() override { return variables_; }
  [[nodiscard]] TaskId running() const override { return runs_->end == 0 ? TaskId{} : TaskId{runs_->call, runs_->item}; }
  [[nodiscard]] bool stop_requested() override;
  [[nodiscard]] std::stop_token stop_token() override;
  void publish(std::string_view name, const char* type, std::span<const std::byte> value) override;
  std::uint64_t submit(const detail::Function& function, std::span<const std::byte> arguments, std::size_t stride) override;
  [[nodiscard]] bool answered(std::uint64_t ticket) override;
  std::vector<std::byte> await(std::uint64_t ticket) override;
  void forget(std::uint64_t ticket) override;
  [[nodiscard]] std::shared_ptr<const void> cached(std::uint64_t call, const std::type_info& type) const override;
  std::unique_ptr<detail::Delivered> take_delivery(std::uint64_t ticket) override;
  [[nodiscard]] bool on_own_thread() const override;
  void withhold() override { lock_.withhold(); }

 private:
  class Running;
  class Arrival;
  class Nested;
  class Watching;

  // What runs the items of a batch, as found in this process.
  struct Code {
    const detail::Thunk* thunk = nullptr;
    const void* function = nullptr;
    std::shared_ptr<const void> object;  // the call may be over for the client while its task still runs
    bool (*predicate)() = nullptr;
  };

  // The loop.
  bool carry_out_next();
  void join(const wire::Join& join);
  void done_with(const wire::Batch& batch, InMessage& message);
  void poll_or_nap(transport::Idle& idle);
  void look(std::int64_t now);
  void report_memory();
  void leave();
  // What is the user's and nobody needs any more: its destructors may want something of the engine.
  void let_go() {
    if (!left_.empty() || inbox_.anything_left() || outbox_.endpoint().anything_sent()) destroy_left();
  }
  void destroy_left();
  void beat();
  [[nodiscard]] std::string describe_runs() const;

  // What rank 0 and other engines say.
  void on_frame(transport::Frame& frame) override;
  void on_record(const wire::Record& record, const std::shared_ptr<InMessage>& message);
  void on_batch(const wire::Batch& batch, const std::shared_ptr<InMessage>& message);
  void on_end(const wire::End& end);
  void on_lost(const wire::Lost& lost);

  // Runs code of the user's without the lock, and has what it throws described and destroyed there as well: throws Described instead.
  template <class Run>
  auto without_lock(Run run) {
    std::optional<wire::Failure> failure;
    {
      const EngineLock::Lent lent(lock_);
      try {
        return run();
      } catch (...) {
        failure = describe_current_exception();
      }
    }
    throw Described{std::move(*failure)};
  }

  // Running the items of a batch.
  void run(const wire::Batch& batch, InMessage& message, std::uint64_t number);
  bool run_item(const wire::Batch& batch, InMessage& message, Code& code, std::span<const std::byte> arguments, std::int64_t started,
                Group* group);
  void run_task(InMessage& message, const Code& code, std::span<const std::byte> bytes, bool flat, detail::Group* group, bool folds);
  bool run_isolated(const wire::Batch& batch, InMessage& message, std::span<const std::byte> arguments);
  [[nodiscard]] isolation::Task isolated_task(const wire::Batch& batch, InMessage& message, std::span<const std::byte> arguments,
                                              std::shared_ptr<InMessage>& of_object, std::vector<std::vector<std::byte>>& attachments);
  static bool take_outcome(isolation::Outcome outcome, detail::Writer& result);
  void fail_run(const wire::Failure& failure);
  void take_printed(std::uint64_t call, std::uint64_t item);
  void tell_printed(std::uint64_t call, std::uint64_t item, const capture::Texts& printed);

  // Running isolated items side by side.
  [[nodiscard]] bool may_begin(const Inbox::Command& command) const;
  void run_beside(Inbox::Command command);
  void begin_next(const std::shared_ptr<SlotRun>& run);
  bool begin_in_slot(const std::shared_ptr<SlotRun>& run, std::span<const std::byte> arguments);
  void add_result_of(const SlotRun& run, bool failed, detail::Writer& result);
  bool collect();
  void settle(Group& group, bool well);
  void fail_batch(const wire::Batch& batch);
  [[nodiscard]] bool team_broken(std::uint64_t team);
  void end_if_stuck();
  bool accepted(const Code& code);
  void cache_result(const wire::Batch& batch);
  [[nodiscard]] std::span<const std::byte> next_arguments(wire::ItemCursor& items) const;
  [[nodiscard]] Code code_of(const wire::Batch& batch);
  // For every item.
  [[nodiscard]] bool in_time(const wire::Batch& batch) const {
    return batch.timeout == 0 || !(runs_->told_overdue || runs_.overdue(settings_.clock));
  }
  // What others see of the item that runs from here on.
  void show() { runs_.show(inbox_.stopped(runs_->call, runs_->item, runs_->number)); }

  // Results that are folded.
  void fold(const Code& code, void (*step)(detail::Invocation&));
  void end_fold(std::uint64_t call, const Code& code);
  void fail_fold(std::uint64_t call, const Code& code);
  void end_folded_items(std::uint64_t call, bool failed);

  // Subtasks, and results as arguments.
  void run_others_until_answered(std::uint64_t ticket);
  void tell_suspended();
  void report_unseen(std::span<const std::byte> value) const;
  void deliver(const wire::Forward& forward);
  void drop(const Deliveries::Messages& messages);
  void drop(InMessage& message);
  // Whether it came from an engine that has died.
  [[nodiscard]] bool lost(const InMessage& message) const { return teams_.dead().contains(message.frame.peer - 1); }
  void receive(InMessage& message, const std::vector<detail::Claims::Place>& places);

  Settings settings_;
  Variables& variables_;
  EngineLock lock_;
  Loop loop_;

  std::vector<std::shared_ptr<const void>> left_;  // the user's, to be destroyed by the loop where it does not have the lock
  Inbox inbox_;
  Outbox outbox_;
  CallableStates callables_;
  ResultCache cache_;
  Deliveries deliveries_;
  SubtaskResults subtasks_;
  MemoryReport memory_report_;
  Teams teams_;
  SlotRuns slot_runs_;
  Runs runs_;
  RunEnd end_;

  ProgressThread progress_thread_;  // goes first
};

}  // namespace rankview::engine

// The executable and the shared libraries of this process; see detail/code_address.hpp.
namespace rankview::wire {

struct LoadedModule {
  std::uint64_t id = 0;  // as in a CodeAddress
  std::string path;      // of its file, empty for the executable
};

// All that are loaded, in the order in which they were. Cost: reads what is mapped of those without a build-id.
std::vector<LoadedModule> loaded_modules();
// Changes whenever one is loaded or unloaded. Cost: a lock of the loader's.
std::uint64_t module_changes();

// Modules that local_address() is to open when something of theirs is wanted and they are not there.
void set_openable_modules(std::vector<LoadedModule> modules);

}  // namespace rankview::wire

namespace rankview::isolation {

// How a child ended.
struct ChildEnd {
  int status = 0;                // as waitpid() gives it
  bool known = true;             // unless somebody else has waited for it
  std::uint64_t peak_bytes = 0;  // of memory that it had at most
};

// Makes a child and says how it ends. One at a time: start() forgets the one before it, which then ends by itself or is killed.
//
// A child leads a process group of its own. When it ends, whatever is left of the group is killed.
class Forker {
 public:
  Forker() = default;
  Forker(const Forker&) = delete;
  Forker& operator=(const Forker&) = delete;
  virtual ~Forker() = default;

  // The child runs run_child() with the socket; what it writes to stderr goes to `errors`, and to stdout to `output`, unless that is -1.
  // Throws Error.
  virtual pid_t start(int socket, int errors, int output) = 0;
  // What a child does not have of the modules that this process has loaded.
  virtual const std::vector<wire::LoadedModule>& later_modules() {
    static const std::vector<wire::LoadedModule> none;
    return none;
  }
  // Whether a child begins with the memory of this process.
  [[nodiscard]] virtual bool copies_memory() const { return false; }
  // Nobody waits for the last child any more.
  virtual void finish() {}
  // Kills the group, if it is there.
  virtual void kill() = 0;
  // Readable when end() may have something.
  [[nodiscard]] virtual int events() const = 0;
  // How it ended, once; nothing while it runs. Does not wait. Throws Error if that will never be known.
  virtual std::optional<ChildEnd> end() = 0;
};

}  // namespace rankview::isolation

namespace rankview::isolation {

// Forks this process, so that the child has the engine's variables as they are. Costs in proportion to the memory of this process.
class DirectForker final : public Forker {
 public:
  explicit DirectForker(Variables& variables) : variables_(variables) {}
  // Kills a child that has not ended.
  ~DirectForker() override;

  pid_t start(int socket, int errors, int output) override;
  [[nodiscard]] bool copies_memory() const override { return true; }
  void finish() override { forget(); }
  void kill() override;
  [[nodiscard]] int events() const override { return process_.get(); }
  std::optional<ChildEnd> end() override;

 private:
  void forget();

  Variables& variables_;
  pid_t child_ = 0;  // that has not been waited for
  Fd process_;       // the child, as a file descriptor
};

}  // namespace rankview::isolation

namespace rankview::isolation {

// Runs tasks in children that a forker makes, and sees to it that each ends.
class ProcessRunner final : public Runner {
 public:
  explicit ProcessRunner(std::unique_ptr<Forker> forker) : forker_(std::move(forker)) {}

  Outcome run(const Task& task, Watcher& watcher) override;

 private:
  class Run;

  std::unique_ptr<Forker> forker_;
};

}  // namespace rankview::isolation

namespace rankview::isolation {

// Modules that this process has loaded since this was made, which children of a process that was forked then do not have.
class LaterModules {
 public:
  LaterModules() {
    for (const wire::LoadedModule& module : wire::loaded_modules()) known_.insert(module.id);
  }

  const std::vector<wire::LoadedModule>& get() {
    if (const std::uint64_t changes = wire::module_changes(); changes != changes_) {
      changes_ = changes;
      later_ = wire::loaded_modules();
      std::erase_if(later_, [this](const wire::LoadedModule& module) { return known_.contains(module.id); });
    }
    return later_;
  }

 private:
  std::set<std::uint64_t> known_;
  std::uint64_t changes_ = wire::module_changes();
  std::vector<wire::LoadedModule> later_;
};

}  // namespace rankview::isolation

namespace rankview::isolation {

// Where a process was that has crashed: which function had called which, the innermost first. Passed on as bytes to whoever has the time to
// find out what the places are called.
struct Trace {
  static constexpr std::size_t most = 64;
  static constexpr std::uint32_t no_file = ~std::uint32_t{0};

  struct Call {
    std::uint64_t address = 0;
    std::uint64_t from_start = 0;  // of the file, as it lies in memory
    std::uint64_t byte = 0;        // of the file
    std::uint32_t path = no_file;  // where it begins in `paths`
  };

  std::uint64_t count = 0;
  std::array<Call, most> calls{};
  std::array<char, 3000> paths{};  // each with a 0 behind it

  // Of the code that a call is in, nothing where no file has it.
  [[nodiscard]] std::string_view path_of(const Call& call) const;
};

// Loads what the handlers need, which must not happen in them.
void prime_traces();

// For a signal handler: finds out which files the addresses, as from backtrace(), are in.
void locate(std::span<void* const> addresses, Trace& trace) noexcept;

// For a signal handler, while it asks for a backtrace: should the crash have happened under a lock that this needs, the process ends
// instead of waiting for ever.
class BacktraceLimit {
 public:
  BacktraceLimit() noexcept;
  BacktraceLimit(const BacktraceLimit&) = delete;
  BacktraceLimit& operator=(const BacktraceLimit&) = delete;
  ~BacktraceLimit();

 private:
  struct sigaction before_ {};
};

// A line for each call, with the line before ended: its name, and where that is in the source, as far as these can be found out. May take
// some seconds the first time.
std::string trace_text(const Trace& trace);

}  // namespace rankview::isolation

namespace rankview::isolation {

// A process beside this one that forks a child for each isolated task. It is made before MPI is initialised, so it has no MPI, one thread
// and little memory, and the code of this process at the same addresses: a fork of it is quick and safe. It ends with this process, and its
// children with it. And when this process crashes, it tells on stderr where that was.
class TaskServer {
 public:
  // Throws std::system_error.
  static std::unique_ptr<TaskServer> fork();
  TaskServer(const TaskServer&) = delete;
  TaskServer& operator=(const TaskServer&) = delete;
  // Waits for its end.
  ~TaskServer();

  // Has it make children for whoever has this; each is for one thread. Throws Error if the server has gone, std::system_error.
  std::unique_ptr<Forker> connect();

  // For tell_server().
  [[nodiscard]] int control() const { return control_.get(); }

 private:
  explicit TaskServer(Fd control) : control_(std::move(control)) {}

  Fd control_;
  LaterModules later_modules_;
};

// For a signal handler, in the process that the server is for: has it tell where that has crashed. Waits for so long until that is done.
// False if the server has not got it.
bool tell_server(int control, const Trace& trace, std::chrono::milliseconds wait) noexcept;

}  // namespace rankview::isolation

namespace rankview::isolation {

// A thread for each slot, which starts children and watches over them. It is made when it is first needed, and lives as long as this.
class ThreadedSlots final : public Slots {
 public:
  // `server`: makes children that are not of this process; null where there is none. Has to stay, like `variables`, which forked children
  // have.
  ThreadedSlots(std::size_t size, TaskServer* server, Variables& variables);
  // Tasks that run are stopped, and waited for.
  ~ThreadedSlots() override;

  [[nodiscard]] std::size_t size() const override { return size_; }
  void start(std::shared_ptr<SlotTask> task) override;
  [[nodiscard]] bool any_ended() const override { return any_ended_.load(std::memory_order_acquire); }
  std::vector<std::shared_ptr<SlotTask>> take_ended() override;

 private:
  class Slot;

  void run_slot(Slot& slot);

  const std::size_t size_;
  TaskServer* const server_;
  Variables& variables_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::atomic<bool> any_ended_{false};
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<std::shared_ptr<SlotTask>> to_run_;
  std::vector<std::shared_ptr<SlotTask>> running_;
  std::vector<std::shared_ptr<SlotTask>> ended_;
  bool quitting_ = false;
};

}  // namespace rankview::isolation

namespace rankview::liveness {

// Where rank 0 waits for the side connections of the others, and what they say to be let in. Travels by MPI, as bytes.
struct Invitation {
  static constexpr std::size_t most_addresses = 8;

  std::array<std::uint64_t, 2> token{};
  std::uint32_t count = 0;                            // addresses
  std::array<std::uint32_t, most_addresses> hosts{};  // IPv4, in network order
  std::array<std::uint16_t, most_addresses> ports{};  // likewise
};

// What goes over a side connection, in either direction. Small enough to be written at once, also by who is about to crash.
struct Note {
  enum Kind : std::uint32_t { hello = 0x72760001, beat, crash, exit, bye };
  std::uint32_t kind = beat;
  std::int32_t value = 0;  // hello: the rank. crash: the signal. exit: the status
  // hello: the token. crash: the task that ran.
  std::uint64_t first = 0;
  std::uint64_t second = 0;
};

// A side connection says something so often.
inline constexpr std::chrono::milliseconds beat_period{500};
// A host that has not acknowledged what was sent to it for so long is gone. A process that is stopped does not come to that, since its
// host answers.
inline constexpr std::chrono::seconds host_limit{10};

}  // namespace rankview::liveness

namespace rankview::liveness {

// Becomes readable when the process has ended. None if it has already, or the system does not know of such.
isolation::Fd open_process(long pid);

// Waits for connections to that IPv4 address of this host, at a port that the system chooses. None if it cannot.
struct Listener {
  isolation::Fd socket{};
  std::uint16_t port = 0;  // in network order
};
Listener listen_on(std::uint32_t host);
// A connection to that address; none if there is none within the limit, or `quit` became readable.
isolation::Fd connect_to(std::uint32_t host, std::uint16_t port, std::chrono::milliseconds limit, int quit);
// From here on the connection fails when the other host does not answer, see host_limit.
void watch_host(int socket);

// IPv4 addresses of this host that the job uses to speak with those hosts, in network order: of the interfaces that Open MPI was told to
// use, else those that lead to the hosts, else all but the loopback.
std::vector<std::uint32_t> job_addresses(const std::vector<std::string>& hosts);

}  // namespace rankview::liveness

namespace rankview::liveness {

// Rank 0's side of what tells it that the others live: a connection to each, which the kernel closes when its process ends, processes of
// this machine, and how long ago each has said something. A thread of its own waits for all of these.
//
// Whoever connects and does not know the token is turned away. Where no connection comes about, only what happens on this machine is
// noticed.
class SideChannel {
 public:
  // One of the others.
  struct Peer {
    int rank = 0;
    std::string host;
    long pid = 0;  // where it is on this machine, else 0
  };

  // `silence`: who says nothing for longer is taken to be stopped or out of reach.
  SideChannel(Signs& signs, const std::vector<Peer>& peers, std::chrono::milliseconds silence);
  SideChannel(const SideChannel&) = delete;
  SideChannel& operator=(const SideChannel&) = delete;
  // Says good-bye, and gives the others a little time to do so.
  ~SideChannel();

  // For the others, to be let in.
  [[nodiscard]] const Invitation& invitation() const { return invitation_; }

 private:
  using Time = std::chrono::steady_clock::time_point;

  // What is known of a peer.
  struct Known {
    isolation::Fd process;
    isolation::Fd socket;
    std::vector<std::byte> unread;  // of its next note
    Time heard{};
    bool silent = false;
    bool over = false;  // it has died, or said good-bye
    Sign last{};        // what it has told of its end
  };
  // Who has connected, and not said yet who it is.
  struct Stranger {
    isolation::Fd socket;
    std::vector<std::byte> unread;
    Time since{};
  };

  void run();
  void wait_for_events(Time now);
  void watch(int fd, std::uint64_t what);
  bool accept_from(std::size_t listener);
  void hear_all_strangers();
  void hear_stranger(int fd);
  void drop_old_strangers(Time now);
  void read_from(int rank);
  void on_note(int rank, Known& peer, const Note& note);
  void ended(int rank, const std::string& seen);
  void check_silence(Time now);

  Signs& signs_;
  const std::chrono::milliseconds silence_;
  Invitation invitation_;
  std::vector<Listener> listeners_;
  isolation::Fd events_;  // epoll
  isolation::Fd quit_;
  std::map<int, Known> peers_;         // by rank
  std::map<int, Stranger> strangers_;  // by file descriptor
  Time last_look_{};
  bool quitting_ = false;
  std::thread thread_;
};

}  // namespace rankview::liveness

namespace rankview::liveness {

// An engine's connection to rank 0 beside MPI: says now and then that the process lives, and notices when rank 0's has ended. A thread of
// its own does so, whatever the task does.
class SideLine {
 public:
  // `rank0_gone` is called in that thread, with what was seen. `rank0`: its process, if that is on this machine, or 0.
  SideLine(const Invitation& invitation, int rank, long rank0, std::function<void(const std::string&)> rank0_gone);
  SideLine(const SideLine&) = delete;
  SideLine& operator=(const SideLine&) = delete;
  // Says good-bye.
  ~SideLine();

 private:
  void run();
  bool connect();
  bool listen_to_rank0();

  const Invitation invitation_;
  const int rank_;
  std::function<void(const std::string&)> rank0_gone_;
  isolation::Fd rank0_;    // its process
  const bool rank0_over_;  // which had ended before this came to look
  isolation::Fd socket_;
  bool welcome_ = false;  // rank 0 knows of the connection
  isolation::Fd quit_;
  std::thread thread_;
};

// For who is about to crash, or to leave by exit(): tells rank 0 over the line of this process, if there is one. May be called in a signal
// handler.
void tell_crash(int signal, const TaskId& task);
void tell_exit(int status);

}  // namespace rankview::liveness

#include <mpi.h>

namespace rankview::transport {

// MPI counts in int; longer data goes in pieces of so many bytes.
inline constexpr std::size_t piece_bytes = std::size_t{1} << 30U;

[[noreturn]] void throw_mpi_error(int code, const char* call);

// The one way to call MPI: `check(MPI_Barrier(comm), "MPI_Barrier")`.
inline void check(int code, const char* call) {
  if (code != MPI_SUCCESS) throw_mpi_error(code, call);
}

// A communicator of its own, whose errors are returned; freed unless MPI is over.
class Communicator {
 public:
  // Collective over `parent`.
  static Communicator duplicate(MPI_Comm parent);
  // Of these ranks of `parent`, in this order; collective over them alone, which use the same tag.
  static Communicator among(MPI_Comm parent, const std::vector<int>& ranks, int tag);
  Communicator() = default;
  Communicator(Communicator&& other) noexcept;
  Communicator& operator=(Communicator&& other) noexcept;
  ~Communicator();

  [[nodiscard]] MPI_Comm get() const { return comm_; }
  [[nodiscard]] int rank() const;
  [[nodiscard]] int size() const;

 private:
  explicit Communicator(MPI_Comm comm) : comm_(comm) {}

  MPI_Comm comm_ = MPI_COMM_NULL;
};

// Who a rank is; what all ranks tell each other at the start.
struct Identity {
  std::uint64_t executable = 0;
  std::int64_t clock_anchor = 0;
  std::uint64_t boot = 0;  // equal for processes under one kernel, whose steady clocks agree
  std::int64_t pid = 0;
  std::uint64_t processes = 0;  // equal for those whose numbers of processes mean the same, see pid_namespaces(7)
  std::uint64_t slots = 1;      // of its engine
  char host[64] = {};
};

// This process.
Identity identify(std::uint64_t executable, std::int64_t clock_anchor);

// Collective: the identities of all ranks, in rank order.
std::vector<Identity> exchange(const Communicator& comm, const Identity& own);

// Collective: rank 0's bytes, everywhere.
void broadcast(const Communicator& comm, void* bytes, std::size_t size);

enum class ThreadLevel { single, funneled, serialized, multiple };

[[nodiscard]] bool mpi_running();
[[nodiscard]] bool mpi_finalised();
// Initialises MPI with threads.
void initialise(int& argc, char**& argv);
void finalise();
[[nodiscard]] ThreadLevel thread_level();
[[nodiscard]] const char* to_string(ThreadLevel level);
// Whether the calling thread is the one that initialised MPI.
[[nodiscard]] bool is_main_thread();

}  // namespace rankview::transport

namespace rankview::transport {

// The connection over MPI. Short frames go eagerly into receives that are posted once and for all, which on shared memory takes two thirds
// of the time of a probe and a receive. A longer frame announces itself there and sends its body, like every attachment, under a
// tag of its own.
class MpiEndpoint final : public Endpoint {
 public:
  // Uses a communicator that nobody else sends on, and another, of the same ranks, to make teams of.
  MpiEndpoint(MPI_Comm comm, const Communicator& teams);
  MpiEndpoint(const MpiEndpoint&) = delete;
  MpiEndpoint& operator=(const MpiEndpoint&) = delete;
  // Gives up whatever is still on its way.
  ~MpiEndpoint() override;

  void send(int peer, Message&& message) override;
  bool poll(FrameHandler& handler) override;
  std::unique_ptr<Transfer> receive(const Frame& frame, const std::vector<Claims::Place>& places) override;
  std::unique_ptr<Team> assemble(std::uint64_t turn, const std::vector<int>& engines) override;
  std::unique_ptr<Assembly> begin_assembly(std::uint64_t turn, const std::vector<int>& engines) override;
  void forget(int peer) override;
  [[nodiscard]] bool flushed() const override { return sending_.empty(); }
  Message message() override;

 private:
  // Fits the smallest eager limit of Open MPI's transports (shared memory, 4,096 bytes with its own header), so that a receive that has
  // matched is a receive that is done.
  static constexpr std::size_t slot_bytes = 4000;
  static constexpr std::size_t slot_count = 16;

  struct Sending {
    int peer = -1;
    std::vector<MPI_Request> requests;
    Message message;
  };

  // A frame whose body is on its way, or that must wait behind such a one.
  struct Arriving {
    int peer;
    FrameHeader header;
    Buffer body;
    std::vector<MPI_Request> requests;
  };

  [[nodiscard]] bool forgotten(int peer) const {
    return !forgotten_.empty() && std::find(forgotten_.begin(), forgotten_.end(), peer) != forgotten_.end();
  }
  bool poll_slot(FrameHandler& handler);
  bool poll_arriving(FrameHandler& handler);
  bool poll_sending();
  void on_packet(FrameHandler& handler, int peer, std::span<const std::byte> packet);
  void deliver(FrameHandler& handler, int peer, const FrameHeader& header, std::span<const std::byte> body, Buffer* owned);
  void recycle(Buffer&& buffer);
  std::uint32_t take_tags(std::size_t count);

  MPI_Comm comm_;
  const Communicator& teams_;
  std::uint32_t highest_tag_ = 32767;
  std::uint32_t next_tag_;
  std::array<std::array<std::byte, slot_bytes>, slot_count> slots_;
  std::array<MPI_Request, slot_count> slot_requests_;
  std::size_t slot_ = 0;     // the next to complete: messages match receives in the order in which those were posted
  bool slot_taken_ = false;  // the one before it is to be posted again
  std::deque<Sending> sending_;
  std::deque<Arriving> arriving_;
  std::vector<Buffer> free_buffers_;
  std::vector<int> forgotten_;  // peers
  // What was on its way to them and from them: MPI may still look at it.
  std::vector<Sending> never_sent_;
  std::vector<Arriving> never_arrived_;
};

}  // namespace rankview::transport

#include <rankview/cluster.hpp>

namespace rankview::inline abi_0_1 {

// Whether what has started the job ends it when one of its processes dies.
bool job_ends_with_a_rank();

// One rank's part of a cluster.
struct Cluster::State {
  State(MPI_Comm parent, const Options& chosen);

  using Main = std::function<int(Client&)>;

  // Rank 0: runs f with a controller until it returns, and tells the engines its exit code, which it returns: that of a run that drained,
  // if tasks are left and f returns 0. Throws what f throws, after the engines were told.
  int control(const Main& f);
  // Other ranks: returns how the run ended.
  wire::End serve();
  // Rank 0, from within f: ends the run as failed, without f returning.
  void leave(int exit_code, const std::string& why);

  // What would have MPI wait for ranks that have died is not destroyed.
  static void keep_for_ever(std::unique_ptr<State> state);
  // Whether any rank has died: what is collective over the cluster would wait for it.
  [[nodiscard]] bool any_lost() const { return losses_ != 0; }
  // Whether this is a child that was forked by the process of the rank: it is no part of the cluster.
  [[nodiscard]] bool forked() const;

  detail::Effective options;
  std::optional<StartGuard> start_guard;  // while it is being made
  transport::Communicator comm;
  transport::Communicator team_parent;  // of the same ranks
  int rank = 0;
  int size = 1;
  std::vector<transport::Identity> ranks;
  transport::Clock clock;
  transport::ThreadLevel level = transport::ThreadLevel::single;
  std::unique_ptr<transport::MpiEndpoint> endpoint;  // null with one rank
  Variables variables;                               // of this rank's engine
  // Run isolated tasks: in copies of this process, and in children of the task server, if there is one.
  isolation::ProcessRunner in_fork{std::make_unique<isolation::DirectForker>(variables)};
  std::unique_ptr<isolation::ProcessRunner> in_process{};
  // What is noticed of the lives of others: on rank 0 of engines, on engines of rank 0.
  liveness::Signs signs;
  std::unique_ptr<liveness::SideChannel> side_channel;
  std::unique_ptr<liveness::SideLine> side_line;
  std::unique_ptr<liveness::Chaos> chaos;         // where an engine is another rank, and it is wanted
  std::unique_ptr<capture::Redirection> outputs;  // where an engine is another rank, and what tasks print is wanted
  std::unique_ptr<engine::Engine> engine;
  std::unique_ptr<isolation::ThreadedSlots> slots;  // the engine's, where there are several; goes before it
  controller::Teams teams;                          // on rank 0
  std::unique_ptr<EventLog> event_log;              // likewise, if it is wanted
  std::unique_ptr<HubRecorder> hub;                 // likewise
  controller::Recorders recorders;
  std::shared_ptr<controller::TaskArchive> archive;  // to be asked instead of the hub, if any

 private:
  void begin_hub();
  void begin_chaos(const std::string& text);
  void begin_capture();
  void watch_lives();
  [[nodiscard]] bool near(const transport::Identity& other) const;
  void check_builds() const;
  void tell_level() const;
  [[nodiscard]] bool has_world() const;
  [[nodiscard]] detail::ControllerSettings controller_settings(std::size_t engines);
  [[nodiscard]] engine::Settings engine_settings(int id, int engines);
  int control_alone(const Main& f);
  [[nodiscard]] std::unique_ptr<DrainWatch> watch_for_drain(detail::Controller& running);
  int run_client(const std::shared_ptr<detail::Controller>& running, const Main& f);
  void end_run(const detail::Controller& closed);

  std::string describe();
  void set_controller(detail::Controller* controller);

  capture::Terms capture_;
  const long process_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::uint64_t losses_ = 0;
  detail::Controller* controller_ = nullptr;  // while f runs
  engine::Thread serving_;                    // with one rank, the engine; ends when the controller has closed
  std::mutex describing_;                     // guards controller_ against the status report's thread
  std::unique_ptr<StatusReport> status_report_;
};

}  // namespace rankview

namespace rankview::inline abi_0_1 {

// Loads the module of the task database, and opens that. Throws UsageError if there is no module, or the file cannot be one.
std::unique_ptr<hub::TaskDatabase> open_hub(const std::string& path);

}  // namespace rankview

namespace rankview::inline abi_0_1 {

// This process's, null if it has none. A child that was forked has none.
isolation::TaskServer* task_server();
// Ends it, and waits for that.
void drop_task_server();

}  // namespace rankview

namespace rankview::inline abi_0_1 {

// A run that this process takes part in, for as long as it does. Runs of the same ranks cannot be within each other: the inner one would
// wait for ranks that serve the outer one.
class UnderWay {
 public:
  // Throws UsageError if `comm` is in a run already, or if this thread is in one of the same ranks.
  UnderWay(MPI_Comm comm, int size);
  UnderWay(const UnderWay&) = delete;
  UnderWay& operator=(const UnderWay&) = delete;
  ~UnderWay();

  // Throws UsageError if this thread is in a run of the ranks of `comm`.
  static void check_outside(MPI_Comm comm);
  // Whether any thread of this process is in a run.
  static bool any();

 private:
  [[nodiscard]] bool holds_up(MPI_Comm comm) const;

  MPI_Comm comm_;
  int size_;
  std::thread::id thread_;
};

}  // namespace rankview

namespace rankview::inline abi_0_1 {

// Says on stderr, once, that the client, whose thread makes this, waits in MPI for ranks that serve, which else would be a hang without a
// word. Looks now and then, from a thread of its own.
class Watch {
 public:
  // `resting` gives nothing while something is under way, and else a number that changes with every call.
  explicit Watch(std::function<std::optional<std::uint64_t>()> resting);
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch();

 private:
  void watch();

  const pid_t client_;
  std::function<std::optional<std::uint64_t>()> resting_;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool end_ = false;
  std::thread thread_;
};

}  // namespace rankview

namespace rankview::inline abi_0_1::detail {

class Controller;

// From here on to its end, running_controller() finds the run of this controller.
void note_run(const std::shared_ptr<Controller>& controller);

}  // namespace rankview::detail

namespace rankview::launch {

// Throws UsageError if rankview's runtime lies in this process more than once: in the executable and in a shared library, say. Each copy
// would have state of its own, and know nothing of the runs of the other.
void refuse_copies();

}  // namespace rankview::launch

namespace rankview::launch {

// Says in that file how many tasks were done: a job that is submitted until nothing is left has to know whether it gets anything done.
inline void add_to_tally(const std::string& name, std::uint64_t done) {
  const int file = ::open(name.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  const std::string line = std::to_string(done) + "\n";
  if (file < 0 || ::write(file, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
    std::fprintf(stderr, "rankview: cannot write to %s (RANKVIEW_TALLY) how many tasks were done\n", name.c_str());
  if (file >= 0) ::close(file);
}
// In the one that RANKVIEW_TALLY names, if there is that variable.
inline void add_to_tally(std::uint64_t done) {
  const char* const name = std::getenv("RANKVIEW_TALLY");
  if (name != nullptr) add_to_tally(std::string(name), done);
}

}  // namespace rankview::launch

namespace rankview::transport {

// Rank 0 of a program that `rankview run` has started says with what it leaves in a file, RANKVIEW_EXIT_FILE, since mpirun does not tell
// where it goes on behind a death. Nothing of this has an effect where there is no such file.

// This process is that rank, and has begun.
void begin_exit_file();
// The same, before MPI has been initialised, if its launcher says so.
void begin_exit_file_early();
// It leaves, with that code. For exit handlers and for who ends the process; a child that was forked says nothing.
void tell_exit_code(int code);

}  // namespace rankview::transport

namespace rankview::transport {

// Rank 0 and its one engine, a thread of the same process: data is copied by whoever comes second.
class LocalTeam final : public Team {
 public:
  // Where the two meet.
  class Meeting;
  static std::shared_ptr<Meeting> meeting();

  LocalTeam(std::shared_ptr<Meeting> meeting, int member);
  ~LocalTeam() override;

  [[nodiscard]] int member() const override { return member_; }
  [[nodiscard]] int members() const override { return 2; }

  Begun gather_votes(const Vote& own, std::span<Vote> all) override;
  Begun announce(Verdict& verdict) override;
  Begun broadcast(std::byte* data, std::uint64_t bytes) override;
  Begun scatter(const std::byte* from, std::byte* to, const Deal& deal) override;
  Begun gather(const std::byte* from, std::byte* to, std::uint64_t own, std::span<const std::uint64_t> counts, const Deal& deal) override;
  Begun reduce(std::byte* data, std::uint64_t count, Element element, Operation operation) override;

  Begun barrier() override;
  Begun allreduce(const std::byte* from, std::byte* to, std::uint64_t count, Element element, Operation operation) override;
  Begun allgather_counts(const std::uint64_t& own, std::span<std::uint64_t> counts) override;
  Begun allgather(const std::byte* from, std::byte* to, std::size_t place, std::span<const std::uint64_t> counts,
                  std::uint64_t element_bytes) override;
  Begun share(std::byte* data, std::uint64_t bytes, std::size_t source) override;
  Begun send(std::size_t to, std::span<const std::byte> bytes) override;
  Begun receive(std::size_t from, Buffer& into) override;

  Begun count_ill(std::int64_t& ill) override;
  void make_communicator() override;
  void drop_communicator() override;
  [[nodiscard]] bool has_communicator() const override { return attached_ != nullptr; }
  const boost::mpi::communicator& communicator() override { return *attached_; }

 private:
  Begun give(const void* from, std::uint64_t bytes);
  Begun take(void* to);

  std::shared_ptr<Meeting> meeting_;
  int member_;
  std::uint64_t next_ = 0;  // number of what this end begins next
  Communicator own_;        // a communicator of one, for callables that want one
  std::unique_ptr<const boost::mpi::communicator> attached_;
};

}  // namespace rankview::transport

namespace rankview::transport {

// The connection between the controller and an engine that is a thread of the same process.
class LocalEndpoint final : public Endpoint {
 public:
  // Two ends of one connection: the controller's, rank 0, and the engine's, which calls itself rank 1.
  static std::pair<std::unique_ptr<LocalEndpoint>, std::unique_ptr<LocalEndpoint>> pair();

  void send(int peer, Message&& message) override;
  bool poll(FrameHandler& handler) override;
  std::unique_ptr<Transfer> receive(const Frame& frame, const std::vector<Claims::Place>& places) override;
  std::unique_ptr<Team> assemble(std::uint64_t number, const std::vector<int>& engines) override;
  [[nodiscard]] bool flushed() const override { return true; }

  bool doze(Idle& idle) override;

 private:
  struct Pipe {
    std::mutex mutex;
    std::condition_variable filled;
    std::deque<Message> messages;
  };

  // Teams that one end has and the other will have.
  struct Meetings {
    std::mutex mutex;
    std::map<std::uint64_t, std::shared_ptr<LocalTeam::Meeting>> open;
  };

  LocalEndpoint(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out, std::shared_ptr<Meetings> meetings, int peer)
      : in_(std::move(in)), out_(std::move(out)), meetings_(std::move(meetings)), peer_(peer) {}

  std::shared_ptr<Pipe> in_;
  std::shared_ptr<Pipe> out_;
  std::shared_ptr<Meetings> meetings_;
  int peer_;
};

}  // namespace rankview::transport

namespace rankview::transport {

// The MPI function in which a thread of this process waits, for instance "MPI_Barrier". Empty if it does something else, or sleeps, or
// cannot be asked. It is asked by a signal, SIGURG, if the program leaves that alone, and only while it is on a processor, where no system
// call of its is cut short.
std::string mpi_call_of(pid_t thread);

}  // namespace rankview::transport

namespace rankview::inline abi_0_1 {
namespace {

// What is not on disk after that is lost with a job that has to end.
constexpr std::chrono::milliseconds limit_of_last_writes{5000};

MPI_Comm checked(MPI_Comm comm) {
  launch::refuse_copies();
  if (!transport::mpi_running()) throw UsageError("a Cluster needs MPI: call MPI_Init_thread first, or use rankview::run()");
  if (comm == MPI_COMM_NULL) throw UsageError("a Cluster over MPI_COMM_NULL");
  int inter = 0;
  transport::check(MPI_Comm_test_inter(comm, &inter), "MPI_Comm_test_inter");
  if (inter != 0) throw UsageError("a Cluster needs an intra-communicator, and was given an inter-communicator");
  UnderWay::check_outside(comm);
  return comm;
}

}  // namespace

// Open MPI's mpirun does that, if it has not been told to go on.
bool job_ends_with_a_rank() {
  return std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr && std::getenv("OMPI_MCA_orte_enable_recovery") == nullptr &&
         std::getenv("SLURM_STEP_ID") == nullptr;
}

Cluster::State::State(MPI_Comm parent, const Options& chosen)
    : options(detail::decide(chosen)),
      start_guard(std::in_place, options.detection ? options.start_limit : std::chrono::seconds(0), "a cluster of all ranks"),
      comm(transport::Communicator::duplicate(checked(parent))),
      rank(comm.rank()),
      size(comm.size()),
      process_(getpid()) {
  transport::Identity own = transport::identify(detail::executable_id(), clock.anchor());
  own.slots = static_cast<std::uint64_t>(options.slots);
  ranks = transport::exchange(comm, own);
  check_builds();
  // One clock for all processes of rank 0's host.
  if (ranks[static_cast<std::size_t>(rank)].boot == ranks[0].boot) clock = transport::Clock(ranks[0].clock_anchor);
  level = transport::thread_level();
  if (rank == 0) transport::begin_exit_file();
  if (rank == 0) tell_level();
  const char* const log = std::getenv("RANKVIEW_LOG");
  EventLog::check(log == nullptr ? "" : log);
  if (rank == 0 && log != nullptr) event_log = EventLog::make(log, clock);
  begin_hub();
  if (event_log != nullptr) recorders.add(*event_log);
  if (hub != nullptr) recorders.add(*hub);

  if (isolation::TaskServer* const server = task_server(); server != nullptr && (rank != 0 || size == 1))
    in_process = std::make_unique<isolation::ProcessRunner>(server->connect());
  if (options.slots > 1 && (rank != 0 || size == 1))
    slots = std::make_unique<isolation::ThreadedSlots>(static_cast<std::size_t>(options.slots), task_server(), variables);
  if (const char* const text = std::getenv("RANKVIEW_CHAOS"); text != nullptr && *text != '\0' && size > 1) begin_chaos(text);
  begin_capture();
  if (size > 1) {
    team_parent = transport::Communicator::duplicate(comm.get());
    endpoint = std::make_unique<transport::MpiEndpoint>(comm.get(), team_parent);
  }
  if (size == 1) {
    engine = std::make_unique<engine::Engine>(engine_settings(0, 1), variables);
  } else if (rank > 0) {
    engine = std::make_unique<engine::Engine>(engine_settings(rank - 1, size - 1), variables);
  }
  watch_lives();
  start_guard.reset();
  if (options.status_signal) status_report_ = std::make_unique<StatusReport>([this] { return describe(); });
}

// All ranks throw if rank 0 cannot.
void Cluster::State::begin_hub() {
  std::string why;
  try {
    if (rank == 0 && !options.hub.empty()) hub = std::make_unique<HubRecorder>(open_hub(options.hub), clock, options.keep);
  } catch (const UsageError& error) {
    why = error.what();
  }
  int failed = why.empty() ? 0 : 1;
  transport::broadcast(comm, &failed, sizeof(failed));
  if (failed != 0) throw UsageError(rank == 0 ? why : "rank 0 cannot open the hub");
}

void Cluster::State::keep_for_ever(std::unique_ptr<State> state) {
  static auto& for_ever = *new std::vector<std::unique_ptr<State>>;
  for_ever.push_back(std::move(state));
}

// For the status report's thread.
std::string Cluster::State::describe() {
  const std::string who = "rankview, rank " + std::to_string(rank) + " on " + ranks[static_cast<std::size_t>(rank)].host + ", process " +
                          std::to_string(process_);
  const std::string call = transport::mpi_call_of(static_cast<int>(process_));
  // It looks for messages all the time.
  const std::string in_mpi = call.empty() || call.starts_with("MPI_Test") ? "" : "; its first thread is in " + call;
  std::string text;
  if (rank == 0) {
    const std::lock_guard guard(describing_);
    text += who + in_mpi + ": " + (controller_ != nullptr ? controller_->describe() : "no run is under way\n");
  }
  if (engine != nullptr) text += who + ", engine " + std::to_string(engine->id()) + in_mpi + ": it " + engine->describe();
  return text;
}

void Cluster::State::set_controller(detail::Controller* controller) {
  const std::lock_guard guard(describing_);
  controller_ = controller;
}

// All draw from one seed, which rank 0 tells.
void Cluster::State::begin_chaos(const std::string& text) {
  liveness::Chaos::Settings settings = liveness::Chaos::read(text);
  transport::broadcast(comm, &settings.seed, sizeof(settings.seed));
  if (rank == 0) {
    std::fprintf(stderr, "rankview: RANKVIEW_CHAOS: engines die and stall at random, with seed:%llu\n",
                 static_cast<unsigned long long>(settings.seed));
  } else {
    chaos = std::make_unique<liveness::Chaos>(settings, rank);
  }
}

void Cluster::State::begin_capture() {
  capture_ = {static_cast<std::size_t>(options.capture) * 1024, options.stream_output};
  if (!capture_.wanted()) return;
  if (rank > 0) outputs = std::make_unique<capture::Redirection>(capture_, rank - 1);
  if (size == 1)
    std::fprintf(stderr,
                 "rankview: with one rank, tasks that are not isolated print where the client does, and what they print is not captured\n");
}

// Whether its process number means the same here.
bool Cluster::State::near(const transport::Identity& other) const {
  const transport::Identity& own = ranks[static_cast<std::size_t>(rank)];
  return own.boot == other.boot && own.processes == other.processes;
}

void Cluster::State::watch_lives() {
  if (!options.detection || size == 1) return;
  liveness::Invitation invitation;
  if (rank == 0) {
    std::vector<liveness::SideChannel::Peer> peers;
    for (int other = 1; other < size; ++other) {
      const transport::Identity& identity = ranks[static_cast<std::size_t>(other)];
      peers.push_back({other, identity.host, near(identity) ? static_cast<long>(identity.pid) : 0});
    }
    side_channel = std::make_unique<liveness::SideChannel>(signs, peers, options.silence);
    invitation = side_channel->invitation();
  }
  transport::broadcast(comm, &invitation, sizeof(invitation));
  if (rank == 0) return;
  const transport::Identity& first = ranks[0];
  side_line = std::make_unique<liveness::SideLine>(
      invitation, rank, near(first) ? static_cast<long>(first.pid) : 0, [this](const std::string& seen) {
        transport::end_process(1, "rank " + std::to_string(rank) + " ends, since rank 0 on " + ranks[0].host + " has died: " + seen);
      });
}

// Function addresses are only meaningful between equal executables.
void Cluster::State::check_builds() const {
  for (std::size_t other = 1; other < ranks.size(); ++other) {
    if (ranks[other].executable == ranks[0].executable) continue;
    throw MismatchedBuild("rank " + std::to_string(other) + " on " + ranks[other].host + " runs another executable than rank 0 on " +
                          ranks[0].host + " (their build-ids differ); start the same build on every rank");
  }
}

void Cluster::State::tell_level() const {
  if (options.banner)
    std::fprintf(stderr, "rankview: %d ranks, %s, effective options:\n%s", size, transport::to_string(level),
                 detail::to_string(options).c_str());
  // An engine that is a thread of this process needs no MPI.
  if (level == transport::ThreadLevel::multiple || size == 1) return;
  const bool serialized = level == transport::ThreadLevel::serialized;
  std::fprintf(stderr,
               "rankview: MPI runs with %s: results arrive, and waiting tasks are handed out, only while the client waits for a result%s. "
               "Initialise MPI with MPI_THREAD_MULTIPLE to have this go on in the background.\n",
               transport::to_string(level), serialized ? "" : " in the thread that initialised MPI");
}

detail::ControllerSettings Cluster::State::controller_settings(std::size_t engines) {
  detail::ControllerSettings settings;
  settings.driver.idle = {options.idle_spin, options.idle_sleep};
  settings.driver.clock = clock;
  settings.grace = options.shutdown_grace;
  settings.team_grace = options.team_grace;
  settings.lease = options.lease;
  settings.teams = &teams;
  settings.recorder = recorders.get();
  settings.keeps_all = hub != nullptr && options.keep == Keep::all;
  settings.archive = archive;
  if (archive == nullptr && hub != nullptr) settings.archive = hub->database();
  settings.signs = &signs;
  settings.put_down = [this](int silent) {
    const transport::Identity& identity = ranks[static_cast<std::size_t>(silent)];
    if (near(identity)) ::kill(static_cast<pid_t>(identity.pid), SIGKILL);
  };
  if (job_ends_with_a_rank())
    settings.ends_with_an_engine =
        "mpirun ends the job for that, where `rankview run -n ENGINES ./app` or `mpirun --enable-recovery` would go on with the others";
  for (std::size_t i = 0; i < engines; ++i) {
    const std::size_t on = ranks.size() == 1 ? 0 : i + 1;
    settings.engines.push_back({.peer = static_cast<int>(i) + 1,
                                .rank = static_cast<int>(on),
                                .host = ranks[on].host,
                                .pid = static_cast<long>(ranks[on].pid),
                                .machine = ranks[on].boot,
                                .slots = static_cast<std::uint16_t>(ranks[on].slots)});
  }
  // Without another rank there is no MPI to be careful with.
  settings.driver.progress_thread = options.pulse && (level == transport::ThreadLevel::multiple || size == 1);
  settings.driver.any_thread_drives = level >= transport::ThreadLevel::serialized || size == 1;
  settings.forwarding.machine = ranks[0].boot;
  settings.forwarding.when = settings.driver.progress_thread ? options.forward_results : ForwardResults::never;
  return settings;
}

engine::Settings Cluster::State::engine_settings(int id, int engines) {
  engine::Settings settings;
  settings.id = id;
  settings.size = engines;
  settings.idle = {options.idle_spin, options.idle_sleep};
  settings.clock = clock;
  settings.own_process = size > 1;
  settings.progress_thread = options.pulse && (level == transport::ThreadLevel::multiple || size == 1);
  settings.grace = options.shutdown_grace;
  settings.team_grace = options.team_grace;
  settings.outputs = outputs.get();
  settings.capture = capture_;
  settings.chaos = chaos.get();
  settings.in_process = in_process.get();
  settings.in_fork = &in_fork;
  settings.slots = slots.get();
  return settings;
}

bool Cluster::State::forked() const { return process_ != getpid(); }

// Whether there is nobody else whom the client could wait for in MPI.
bool Cluster::State::has_world() const {
  int world = 0;
  transport::check(MPI_Comm_size(MPI_COMM_WORLD, &world), "MPI_Comm_size");
  return size > 1 && size == world;
}

wire::End Cluster::State::serve() {
  const UnderWay under_way(comm.get(), size);
  // They are for rank 0, and come to all.
  std::optional<DrainSignals> unheard;
  if (options.drain_signals) unheard.emplace(-1);
  wire::End end = engine->serve(*endpoint);
  losses_ = end.losses;
  return end;
}

int Cluster::State::control(const Main& f) {
  const UnderWay under_way(comm.get(), size);
  if (size == 1) return control_alone(f);
  return run_client(std::make_shared<detail::Controller>(*endpoint, controller_settings(static_cast<std::size_t>(size) - 1)), f);
}

// With an engine that is a thread of this process.
int Cluster::State::control_alone(const Main& f) {
  const auto ends = transport::LocalEndpoint::pair();
  const auto running = std::make_shared<detail::Controller>(*ends.first, controller_settings(1));
  serving_ = engine::Thread([this, &ends] { engine->serve(*ends.second); });
  return run_client(running, f);
}

std::unique_ptr<DrainWatch> Cluster::State::watch_for_drain(detail::Controller& running) {
  const auto end = end_of_job(options, began_);
  if (!options.drain_signals && !end) return nullptr;
  DrainWatch::Steps steps;
  steps.drain = [&running](const std::string& why) {
    std::fprintf(stderr, "rankview: %s: no more tasks are handed out; those that run may end, and a second signal has them told to stop\n",
                 why.c_str());
    running.drain(why, false);
  };
  steps.hurry = [&running] {
    std::fprintf(stderr, "rankview: tasks that still run are told to stop\n");
    running.hurry();
  };
  steps.end = [this, &running](const std::string& why) {
    running.checkpoints().flush(limit_of_last_writes);
    if (hub != nullptr) hub->database()->flush();
    launch::add_to_tally(running.completed());
    transport::end_process(detail::exit_to_requeue, "the run drains (" + why + "), and tasks or the client have not ended");
  };
  return std::make_unique<DrainWatch>(options, end, std::move(steps));
}

int Cluster::State::run_client(const std::shared_ptr<detail::Controller>& running, const Main& f) {
  set_controller(running.get());
  detail::note_run(running);
  Client client(running);
  int exit_code = 0;
  std::exception_ptr left_by;
  // A child that the client has forked, in which their threads are not, must not come so far as to destroy them.
  std::optional<Watch> watch;
  std::unique_ptr<DrainWatch> drain_watch = watch_for_drain(*running);
  const auto stay_parent = [this] {
    if (forked()) transport::end_process(1, "a child that the client has forked came back from the client's function: end it with _exit()");
  };
  try {
    if (has_world() && options.pulse && level == transport::ThreadLevel::multiple) watch.emplace([&running] { return running->resting(); });
    try {
      exit_code = f(client);
    } catch (const Draining&) {
      left_by = std::current_exception();
    }
    stay_parent();
    client.wait();
  } catch (...) {
    stay_parent();
    watch.reset();
    drain_watch.reset();
    leave(1, engine::describe_uncaught());
    throw;
  }
  watch.reset();
  if (const std::uint64_t left = running->given_back(); left != 0) {
    std::fprintf(stderr, "rankview: the run drained (%s), and %llu tasks are left to a later one\n", running->why_draining().c_str(),
                 static_cast<unsigned long long>(left));
    if (exit_code == 0) exit_code = detail::exit_to_requeue;
  }
  running->close(wire::Ending::completed, exit_code, "");
  drain_watch.reset();
  end_run(*running);
  if (left_by != nullptr) std::rethrow_exception(left_by);
  return exit_code;
}

void Cluster::State::leave(int exit_code, const std::string& why) {
  if (controller_ == nullptr || !controller_->reachable()) transport::end_process(exit_code, why);
  controller_->abort_all("given up because the client failed: " + why);
  controller_->close(wire::Ending::failed, exit_code, why);
  end_run(*controller_);
}

// The program may not come so far as to destroy the cluster.
void Cluster::State::end_run(const detail::Controller& closed) {
  losses_ = closed.deaths();
  launch::add_to_tally(closed.completed());
  set_controller(nullptr);
  if (hub != nullptr) hub->database()->flush();
  // Where the engine is a thread, its connection goes with who began it.
  serving_.join();
}

Cluster::Cluster(MPI_Comm comm, const Options& options) : state_(std::make_unique<State>(comm, options)) {}

Cluster::~Cluster() {
  if (state_->forked()) {
    // What it would free is its parent's.
    static_cast<void>(state_.release());
  } else if (state_->any_lost()) {
    state_->side_channel.reset();
    state_->side_line.reset();
    state_->variables.clear();
    State::keep_for_ever(std::move(state_));
  } else if (!transport::mpi_running()) {
    transport::end_process(1,
                           "a Cluster was destroyed behind MPI_Finalize, which it must come before: put it in a scope that ends earlier");
  }
}

int Cluster::rank() const noexcept { return state_->rank; }
int Cluster::size() const noexcept { return state_->size; }

void Cluster::run_on_root(const std::function<void(Client&)>& f) {
  if (!transport::mpi_running()) throw UsageError("Cluster::run behind MPI_Finalize");
  if (state_->rank == 0) {
    state_->control([&f](Client& client) {
      f(client);
      return 0;
    });
    return;
  }
  const wire::End end = state_->serve();
  if (end.ending == wire::Ending::failed) throw Error("the client on rank 0 failed: " + end.reason);
}

}  // namespace rankview

namespace rankview::inline abi_0_1 {
namespace {

// Whose signals are taken, 0 for nobody's; a child that was forked has another number.
std::atomic<pid_t> taker{0};
std::atomic<int> to_tell{-1};

void on_drain_signal(int signal) {
  const int before = errno;
  if (::getpid() != taker) {
    std::signal(signal, SIG_DFL);
    ::raise(signal);
  } else if (to_tell >= 0) {
    const unsigned long what = signal == SIGTERM ? DrainSignals::terminate : DrainSignals::user;
    [[maybe_unused]] const auto written = ::write(to_tell, &what, sizeof(what));
  }
  errno = before;
}

}  // namespace

DrainSignals::DrainSignals(int told) {
  pid_t nobody = 0;
  if (!taker.compare_exchange_strong(nobody, ::getpid())) return;
  to_tell = told;
  for (const int signal : {SIGTERM, SIGUSR1}) {
    struct sigaction there = {};
    ::sigaction(signal, nullptr, &there);
    if ((there.sa_flags & SA_SIGINFO) != 0 || there.sa_handler != SIG_DFL) continue;
    struct sigaction action = {};
    action.sa_handler = &on_drain_signal;
    action.sa_flags = SA_RESTART;
    if (::sigaction(signal, &action, nullptr) == 0) taken_.push_back(signal);
  }
  if (taken_.empty()) taker = 0;
}

DrainSignals::~DrainSignals() {
  if (taken_.empty()) return;
  for (const int signal : taken_) std::signal(signal, SIG_DFL);
  to_tell = -1;
  taker = 0;
}

}  // namespace rankview

namespace rankview::inline abi_0_1 {
namespace {

using std::chrono::steady_clock;

constexpr std::uint64_t no_more = std::uint64_t{1} << 40U;

}  // namespace

std::optional<steady_clock::time_point> end_of_job(const detail::Effective& options, steady_clock::time_point began) {
  if (options.walltime.count() != 0) return began + options.walltime;
  const char* const text = std::getenv("SLURM_JOB_END_TIME");
  if (text == nullptr) return std::nullopt;
  char* behind = nullptr;
  const long long epoch = std::strtoll(text, &behind, 10);
  if (behind == text || *behind != '\0' || epoch <= 0) return std::nullopt;
  const auto left = std::chrono::system_clock::time_point(std::chrono::seconds(epoch)) - std::chrono::system_clock::now();
  return steady_clock::now() + std::chrono::duration_cast<steady_clock::duration>(left);
}

DrainWatch::DrainWatch(const detail::Effective& options, std::optional<Time> end, Steps steps)
    : steps_(std::move(steps)), grace_(options.shutdown_grace), process_(::getpid()), told_(::eventfd(0, EFD_CLOEXEC)) {
  if (told_ < 0) throw Error(std::string("rank 0 cannot watch for signals: eventfd: ") + std::strerror(errno));
  if (end) {
    const std::chrono::milliseconds margin = options.walltime_margin;
    due_[0] = *end - margin;
    due_[1] = *end - margin / 2;
    due_[2] = *end - margin / 4;
  }
  thread_ = std::thread([this] { watch(); });
  if (options.drain_signals) signals_.emplace(told_);
}

DrainWatch::~DrainWatch() {
  // What there is of it in a child that was forked is the parent's.
  if (::getpid() != process_) {
    thread_.detach();
    return;
  }
  signals_.reset();
  [[maybe_unused]] const auto written = ::write(told_, &no_more, sizeof(no_more));
  thread_.join();
  ::close(told_);
}

void DrainWatch::watch() {
  for (;;) {
    int wait = -1;
    if (next_ < 3 && due_[next_]) {
      // Rounded up, so that it is due when this wakes.
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*due_[next_] - steady_clock::now()).count();
      wait = static_cast<int>(std::clamp<long long>(left, 0, 1'000'000));
    }
    pollfd told{told_, POLLIN, 0};
    const int ready = ::poll(&told, 1, wait);
    if (ready > 0) {
      std::uint64_t what = 0;
      if (::read(told_, &what, sizeof(what)) != sizeof(what)) continue;
      if (what >= no_more) return;
      for (std::uint64_t i = what / DrainSignals::user; i != 0; --i) on_signal("SIGUSR1");
      for (std::uint64_t i = what % DrainSignals::user; i != 0; --i) on_signal("SIGTERM");
    } else if (ready == 0 && next_ < 3 && due_[next_] && steady_clock::now() >= *due_[next_]) {
      do_next("the walltime is near");
    }
  }
}

// The first has it drain, the second hurry.
void DrainWatch::on_signal(const std::string& name) {
  if (next_ >= 2) return;
  const bool hurries = next_ == 1;
  do_next(name);
  if (!hurries) return;
  const Time end = steady_clock::now() + grace_;
  due_[2] = due_[2] ? std::min(*due_[2], end) : end;
}

void DrainWatch::do_next(const std::string& why) {
  switch (next_++) {
    case 0:
      why_ = why;
      steps_.drain(why);
      return;
    case 1:
      steps_.hurry();
      return;
    default:
      steps_.end(why_);
  }
}

}  // namespace rankview

// Why tasks fail, as the client is told. `earlier`: how attempts before the last one failed.
namespace rankview::inline abi_0_1::detail {

// As an engine describes it.
std::exception_ptr task_error(const Call& call, std::uint64_t item, const controller::EngineInfo& at, int engine,
                              const rankview::wire::Failure& failure, const std::vector<std::string>& earlier);
std::exception_ptr task_timed_out(const Call& call, const TaskId& task, int engine, const std::vector<std::string>& earlier);
std::exception_ptr task_aborted(const TaskId& task, const std::string& why);

// What the program's own code throws may be of a class of the program's, whose what() and destructor are its code as well. So it is asked
// once, without the controller's lock, and the call keeps both.
ToldError with_text(std::exception_ptr error);
// The same with the lock: the call has that error from here on. Gives it.
std::exception_ptr keep(Call& call, ToldError&& told);
// What an error of the call says. With the lock.
std::string text_of(const Call& call, const std::exception_ptr& error);

// "1.5 s"
std::string in_seconds(std::int64_t nanoseconds);

}  // namespace rankview::detail

namespace rankview::inline abi_0_1 {
namespace {

// More engines than these are not told one by one.
constexpr std::size_t most_engines = 32;

std::string name_of(const detail::Call& call) {
  const std::string& label = call.life().more->label;
  return "call " + std::to_string(call.id) + (label.empty() ? "" : " \"" + label + "\"");
}

std::string tasks(std::uint64_t count) { return std::to_string(count) + (count == 1 ? " task" : " tasks"); }

std::string items(std::uint64_t begin, std::uint64_t end) {
  return end - begin == 1 ? "task " + std::to_string(begin) : "tasks " + std::to_string(begin) + " to " + std::to_string(end - 1);
}

std::string whom(int engine) { return engine < 0 ? "rank 0" : "engine " + std::to_string(engine); }

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

void EventLog::check(const std::string& setting) {
  const std::string level = setting.substr(0, setting.find(':'));
  if (level.empty() || level == "info" || level == "debug") return;
  throw UsageError("RANKVIEW_LOG should be info or debug, behind which may come a colon and the name of a file, and is \"" + setting +
                   "\"");
}

std::unique_ptr<EventLog> EventLog::make(const std::string& setting, const transport::Clock& clock) {
  const std::size_t colon = setting.find(':');
  const std::string level = setting.substr(0, colon);
  if (level.empty()) return nullptr;
  File file(stderr);
  if (colon != std::string::npos) {
    const std::string path = setting.substr(colon + 1);
    if (File own(std::fopen(path.c_str(), "a")); own != nullptr) {
      file = std::move(own);
    } else {
      std::fprintf(stderr, "rankview: RANKVIEW_LOG: %s cannot be written, so the log comes here: %s\n", path.c_str(), std::strerror(errno));
    }
  }
  return std::unique_ptr<EventLog>(new EventLog(std::move(file), level == "debug", clock));
}

void EventLog::say(const std::string& event) {
  std::fprintf(file_.get(), "rankview %s: %s\n", detail::in_seconds(clock_.now() - began_).c_str(), event.c_str());
  std::fflush(file_.get());
}

void EventLog::run_begins(const std::vector<controller::EngineInfo>& engines) {
  say("a run with " + std::to_string(engines.size()) + (engines.size() == 1 ? " engine" : " engines"));
  if (engines.size() > most_engines && !details_) return;
  for (std::size_t id = 0; id < engines.size(); ++id) {
    say("engine " + std::to_string(id) + " is rank " + std::to_string(engines[id].rank) + " on " + engines[id].host + ", process " +
        std::to_string(engines[id].pid));
  }
}

void EventLog::submitted(const detail::Call& call) { say(name_of(call) + ": " + tasks(call.life().items.size())); }

void EventLog::granted(const detail::Call& call, std::uint64_t begin, std::uint64_t end, int engine) {
  if (details_) say(name_of(call) + ": " + whom(engine) + " gets " + items(begin, end));
}

void EventLog::retried(const detail::Call& call, std::uint64_t item) {
  const auto& attempts = *call.life().more->attempts;
  const auto found = attempts.find(item);
  const std::string why = found == attempts.end() || found->second.errors.empty() ? "" : ": " + first_line(found->second.errors.back());
  say(name_of(call) + ": task " + std::to_string(item) + " is tried again after attempt " +
      std::to_string(call.life().items[item].attempts) + why);
}

void EventLog::ended(const detail::Call& call, std::uint64_t begin, std::uint64_t end) {
  if (details_) say(name_of(call) + ": " + items(begin, end) + " ended, on " + whom(call.life().items[begin].engine));
}

void EventLog::engine_lost(const LostEngine& lost) {
  std::string event = "engine " + std::to_string(lost.engine) + (lost.aside ? " is set aside: " : " has died: ") + lost.seen;
  if (lost.rerun != 0) event += "; " + tasks(lost.rerun) + " of it for others";
  if (lost.failed != 0) event += "; " + tasks(lost.failed) + " of it failed";
  say(event);
}

void EventLog::over(const detail::Call& call) {
  std::uint64_t failed = 0;
  std::uint64_t aborted = 0;
  for (const detail::ItemRecord& item : call.life().items) {
    failed += item.status == Status::failed ? 1 : 0;
    aborted += item.status == Status::aborted ? 1 : 0;
  }
  std::string event = name_of(call) + ": over after " + detail::in_seconds(clock_.now() - call.life().submitted);
  if (failed != 0) event += ", " + tasks(failed) + " failed";
  if (aborted != 0) event += ", " + tasks(aborted) + " aborted";
  const auto& errors = *call.life().errors;
  if (failed != 0 && !errors.empty())
    event += "; task " + std::to_string(errors.begin()->first) + ": " + first_line(detail::text_of(call, errors.begin()->second));
  say(event);
}

void EventLog::run_ends(bool failed, const std::string& reason) {
  say(failed ? "the run ends, since the client failed: " + first_line(reason) : "the run ends");
}

}  // namespace rankview

namespace rankview::isolation {

// A place in a file of code: which byte of it.
struct Place {
  std::string path;
  std::uint64_t byte = 0;

  friend auto operator<=>(const Place&, const Place&) = default;
};

// For each place what is there: "f(int) (app.cpp:12)", or "f(int) (app+0x1139)" where the file has symbols and nothing tells the line, else
// "(app+0x1139)"; what was inlined there comes first, and stands in lines of its own. Symbols are read from the file itself; lines are what
// `addr2line` says, where that is installed and the file has debug information. Returns at about the limit, with what is known by then.
// What was found is remembered for the next time. Thread-safe.
std::vector<std::vector<std::string>> describe_places(std::span<const Place> places, std::chrono::milliseconds limit);

// The name under which the linker knows a function or constant of this process, as the symbols of its file have it; empty where these have
// been stripped, or where functions of several places have that name, as static ones may. Remembered; else it reads the file's symbols.
// Thread-safe.
std::string linker_name(const void* code);
// What the linker knows under that name, in the executable or else in a shared library that is loaded; null if nothing, or several. Reads
// the symbols of their files.
const void* place_named(const std::string& name);

}  // namespace rankview::isolation

#include <dlfcn.h>

namespace rankview::inline abi_0_1 {
namespace {

constexpr const char* module_name = "rankview-hub-abi_0_1.so";
constexpr const char* opener_name = "rankview_open_hub_abi_0_1";

// Where it may be, the first place first.
std::vector<std::string> module_places() {
  if (const char* const wanted = std::getenv("RANKVIEW_HUB_MODULE"); wanted != nullptr && *wanted != '\0') return {wanted};
  std::vector<std::string> places;
#ifdef RANKVIEW_MODULE_DIR
  places.push_back(std::string(RANKVIEW_MODULE_DIR) + "/" + module_name);
#endif
  places.emplace_back(module_name);
  return places;
}

}  // namespace

std::unique_ptr<hub::TaskDatabase> open_hub(const std::string& path) {
  using Open = hub::TaskDatabase* (*)(const char*, hub::NameOf);
  void* module = nullptr;
  std::string tried;
  for (const std::string& place : module_places()) {
    module = ::dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (module != nullptr) break;
    const char* const why = ::dlerror();
    tried += std::string("\n  ") + (why == nullptr ? place : why);
  }
  if (module == nullptr)
    throw UsageError("the hub (Options::hub, RANKVIEW_HUB) needs rankview's module for it, " + std::string(module_name) +
                     ", which is built where SQLiteCpp is; RANKVIEW_HUB_MODULE may name the file:" + tried);
  const auto open = reinterpret_cast<Open>(::dlsym(module, opener_name));
  if (open == nullptr) throw UsageError("the module for the hub is of another version of rankview");
  try {
    return std::unique_ptr<hub::TaskDatabase>(open(path.c_str(), &isolation::linker_name));
  } catch (const std::exception& error) {
    throw UsageError("the hub " + path + " cannot be opened: " + error.what());
  }
}

}  // namespace rankview

namespace rankview::inline abi_0_1::detail {

// The code of a call, as every process finds it. Zero where it has none.
struct ShippedCode {
  CodeAddress thunk{};
  CodeAddress function{};   // of a callable that is a function pointer
  CodeAddress predicate{};  // a bool() to be asked before each item

  friend auto operator<=>(const ShippedCode&, const ShippedCode&) = default;
};

// Found once, when a call is submitted, and kept to the end of the process: one for the same code. Throws UsageError as code_address()
// does. Thread-safe; remembers per thread what it looked up.
const ShippedCode& shipped_code(const void* thunk, const void* function, const void* predicate);
// The same of code that another process has found.
const ShippedCode& shipped_code(const ShippedCode& code);

}  // namespace rankview::detail

namespace rankview::inline abi_0_1 {
namespace {

// They are told together, until they are so long.
constexpr std::size_t much_kept = std::size_t{64} * 1024;
// Of one task; the database cannot have more in a place.
constexpr std::size_t most_of_a_task = 900'000'000;

hub::KeptCode kept_code(const void* place, const detail::CodeAddress& address) { return {place, address.module, address.offset}; }

// The arguments of an item as the table `kept` has them, behind what there is; false if they are not there, or mean nothing elsewhere.
bool add_arguments(const detail::Call& call, std::uint64_t item, std::vector<std::byte>& to) {
  const detail::CallLife& life = call.life();
  const detail::Deferred& deferred = life.more->deferred;
  if (life.blocks.empty() || (deferred.encode && !deferred.by_value)) return false;
  const detail::ArgumentBlock& block = *detail::block_of(call, item);
  if (block.data.bytes.size() == 0) return false;
  const std::uint64_t place = call.same_arguments ? 0 : item;
  auto bytes = block.items(place, place + 1);
  if (block.stride == 0) bytes = bytes.subspan(sizeof(std::uint64_t));
  std::size_t size = bytes.size();
  for (const detail::Attachment& each : block.data.attachments) size += each.size;
  if (size > most_of_a_task) return false;
  const auto add = [&to](std::span<const std::byte> more) { to.insert(to.end(), more.begin(), more.end()); };
  const auto add_number = [&add](std::uint64_t number) { add(std::as_bytes(std::span(&number, 1))); };
  add_number(block.data.attachments.size());
  for (const detail::Attachment& each : block.data.attachments) add_number(each.size);
  add(bytes);
  for (const detail::Attachment& each : block.data.attachments) add({each.data, each.size});
  return true;
}

}  // namespace

void HubRecorder::run_begins(const std::vector<controller::EngineInfo>& engines) {
  hub::RunBegan event{clock_.now(), {}};
  for (const controller::EngineInfo& each : engines) event.engines.push_back({each.rank, each.host, each.pid, each.slots});
  database_->add(std::move(event), 0);
  // However soon it is killed, it is known that there was one. Nothing runs yet that would wait.
  database_->flush();
}

void HubRecorder::submitted(const detail::Call& call) {
  const detail::CallLife& life = call.life();
  hub::CallMade event{call.id, life.more->label, call.function.code, {}, life.items.size(), life.submitted};
  const detail::Thunk* const thunk = call.function.thunk;
  if (event.code == nullptr && thunk != nullptr && thunk->callable != nullptr) event.callable = thunk->callable->name();
  database_->add(std::move(event), 0);
}

void HubRecorder::retried(const detail::Call& call, std::uint64_t item) {
  const detail::ItemRecord& record = call.life().items[item];
  hub::TaskRetried event{call.id, item, record.attempts, record.engine, clock_.now(), {}};
  const auto& attempts = *call.life().more->attempts;
  const auto found = attempts.find(item);
  if (found != attempts.end() && !found->second.errors.empty()) event.error = found->second.errors.back();
  database_->add(std::move(event), 1);
}

void HubRecorder::ending(const detail::Call& call, std::uint64_t item, const std::span<const std::byte>* value) {
  if (keep_ == Keep::none || (value != nullptr && keep_ != Keep::all) || !detail::can_be_kept(call)) return;
  if (kept_.call != call.id || kept_.bytes.size() > much_kept) flush_kept();
  const std::size_t before = kept_.bytes.size();
  if (!add_arguments(call, item, kept_.bytes)) return;
  tell_of(call);
  hub::TasksKept::Task task{item, call.life().items[item].engine, kept_.bytes.size() - before};
  if (value != nullptr && value->size() <= most_of_a_task) {
    kept_.bytes.insert(kept_.bytes.end(), value->begin(), value->end());
    task.value = value->size();
    task.has_value = true;
  }
  kept_.call = call.id;
  kept_.tasks.push_back(task);
}

void HubRecorder::tell_of(const detail::Call& call) {
  if (!told_code_.insert(call.id).second) return;
  const detail::ShippedCode& code = *call.life().code;
  const detail::Terms& terms = *call.life().terms;
  const auto state = call.function.object->bytes.bytes();
  hub::CallKept event;
  event.call = call.id;
  event.thunk = kept_code(call.function.thunk, code.thunk);
  event.function = kept_code(call.function.code, code.function);
  event.state.assign(state.begin(), state.end());
  event.result = call.function.thunk->result->name();
  event.direct = call.spread != detail::Spread::pool;
  event.isolation = static_cast<int>(terms.isolation);
  event.timeout = terms.timeout;
  event.memory_limit = terms.memory_limit;
  event.slots = terms.slots;
  database_->add(std::move(event), 0);
}

void HubRecorder::flush_kept() {
  if (!kept_.tasks.empty()) database_->add(std::exchange(kept_, {}), 0);
}

void HubRecorder::printed(const detail::Call& call, std::uint64_t item, int engine, const capture::Texts& texts) {
  database_->add(hub::TaskPrinted{call.id, item, call.life().items[item].attempts, engine, texts.out, texts.err}, 0);
}

void HubRecorder::ended(const detail::Call& call, std::uint64_t begin, std::uint64_t end) {
  flush_kept();
  const detail::CallLife& life = call.life();
  hub::TasksEnded event;
  event.call = call.id;
  event.first = begin;
  event.records.assign(life.items.begin() + begin, life.items.begin() + end);
  const auto& errors = *life.errors;
  if (!errors.empty()) {
    const bool asked = !life.more->told->empty();
    for (auto at = errors.lower_bound(begin), last = errors.lower_bound(end); at != last; ++at) {
      event.errors.push_back(asked ? hub::TaskError{at->first, nullptr, detail::text_of(call, at->second)}
                                   : hub::TaskError{at->first, at->second});
    }
  }
  database_->add(std::move(event), end - begin);
}

void HubRecorder::engine_lost(const LostEngine& lost) {
  database_->add(hub::EngineLost{lost.engine, clock_.now(), (lost.aside ? "set aside: " : "died: ") + lost.seen}, 0);
}

void HubRecorder::over(const detail::Call& call) {
  told_code_.erase(call.id);
  database_->add(hub::CallOver{call.id, clock_.now()}, 0);
}

void HubRecorder::run_ends(bool failed, const std::string& reason) { database_->add(hub::RunEnded{clock_.now(), failed, reason}, 0); }

}  // namespace rankview

#include <type_traits>

namespace rankview::inline abi_0_1::detail {
namespace {

// Nothing if it is empty.
std::optional<std::string> text_from_environment(const char* name) {
  const char* const text = std::getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  return text;
}

std::optional<std::int64_t> from_environment(const char* name, std::int64_t most) {
  const char* const text = std::getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  std::int64_t value = 0;
  const char* const end = text + std::strlen(text);
  const auto [stopped, error] = std::from_chars(text, end, value);
  if (error != std::errc() || stopped != end || value < 0 || value > most)
    throw UsageError(std::string(name) + " should be a number from 0 to " + std::to_string(most) + ", and is \"" + text + "\"");
  return value;
}

// What an option may be called instead of by its number.
template <class T>
constexpr std::array<const char*, 0> names_of{};
template <>
constexpr std::array<const char*, 3> names_of<Keep>{"none", "failures", "all"};

template <class T>
std::optional<T> named_in_environment(const char* variable) {
  const auto text = text_from_environment(variable);
  if (!text) return std::nullopt;
  std::string known;
  for (std::size_t i = 0; i < names_of<T>.size(); ++i) {
    if (*text == names_of<T>[i]) return static_cast<T>(i);
    known += (known.empty() ? "" : i + 1 == names_of<T>.size() ? " or " : ", ") + std::string(names_of<T>[i]);
  }
  throw UsageError(std::string(variable) + " should be " + known + ", and is \"" + *text + "\"");
}

constexpr std::int64_t hour_in_us = 3'600'000'000;
constexpr std::int64_t most_seconds = 1'000'000'000;
constexpr int most_engine_slots = 65'535;
constexpr int most_captured = 1'000'000;

// One option: what is to be known of it but for its default, which Effective has.
template <class T>
struct Described {
  const char* variable;
  std::optional<T> Options::*programmed;
  T Effective::*value;
  std::int64_t most;
};

template <class T>
Described(const char*, std::optional<T> Options::*, T Effective::*, std::int64_t) -> Described<T>;

constexpr std::tuple all_options{
    Described{"RANKVIEW_IDLE_SPIN_US", &Options::idle_spin, &Effective::idle_spin, hour_in_us},
    Described{"RANKVIEW_IDLE_SLEEP_US", &Options::idle_sleep, &Effective::idle_sleep, hour_in_us},
    Described{"RANKVIEW_PULSE", &Options::pulse, &Effective::pulse, 1},
    Described{"RANKVIEW_SHUTDOWN_GRACE_MS", &Options::shutdown_grace, &Effective::shutdown_grace, hour_in_us},
    Described{"RANKVIEW_TEAM_GRACE_MS", &Options::team_grace, &Effective::team_grace, hour_in_us},
    Described{"RANKVIEW_FORWARD_RESULTS", &Options::forward_results, &Effective::forward_results, 2},
    Described{"RANKVIEW_TASK_SERVER", &Options::task_server, &Effective::task_server, 1},
    Described{"RANKVIEW_SLOTS", &Options::slots, &Effective::slots, most_engine_slots},
    Described{"RANKVIEW_CRASH_REPORT", &Options::crash_report, &Effective::crash_report, 1},
    Described{"RANKVIEW_STATUS_SIGNAL", &Options::status_signal, &Effective::status_signal, 1},
    Described{"RANKVIEW_DETECTION", &Options::detection, &Effective::detection, 1},
    Described{"RANKVIEW_SILENCE_MS", &Options::silence, &Effective::silence, hour_in_us},
    Described{"RANKVIEW_LEASE_MS", &Options::lease, &Effective::lease, hour_in_us},
    Described{"RANKVIEW_START_LIMIT_S", &Options::start_limit, &Effective::start_limit, 1'000'000},
    Described{"RANKVIEW_DRAIN_SIGNALS", &Options::drain_signals, &Effective::drain_signals, 1},
    Described{"RANKVIEW_WALLTIME", &Options::walltime, &Effective::walltime, most_seconds},
    Described{"RANKVIEW_WALLTIME_MARGIN_S", &Options::walltime_margin, &Effective::walltime_margin, most_seconds},
    Described{"RANKVIEW_HUB", &Options::hub, &Effective::hub, 0},
    Described{"RANKVIEW_KEEP", &Options::keep, &Effective::keep, 0},
    Described{"RANKVIEW_CAPTURE", &Options::capture, &Effective::capture, most_captured},
    Described{"RANKVIEW_STREAM_OUTPUT", &Options::stream_output, &Effective::stream_output, 1},
    Described{"RANKVIEW_BANNER", &Options::banner, &Effective::banner, 1},
};

template <class F>
void for_each_option(F f) {
  std::apply([&f](const auto&... option) { (f(option), ...); }, all_options);
}

template <class T>
std::string text(const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    return value;
  } else if constexpr (names_of<T>.size() != 0) {
    return names_of<T>[static_cast<std::size_t>(value)];
  } else if constexpr (requires { value.count(); }) {
    return std::to_string(value.count());
  } else {
    return std::to_string(static_cast<int>(value));
  }
}

}  // namespace

Effective decide(const Options& options) {
  Effective effective;
  for_each_option([&]<class T>(const Described<T>& option) {
    if (const auto& programmed = options.*option.programmed) {
      effective.*option.value = *programmed;
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (auto named = text_from_environment(option.variable)) effective.*option.value = std::move(*named);
    } else if constexpr (names_of<T>.size() != 0) {
      if (const auto named = named_in_environment<T>(option.variable)) effective.*option.value = *named;
    } else if (const auto set = from_environment(option.variable, option.most)) {
      effective.*option.value = T(*set);
    }
  });
  if (effective.slots < 1 || effective.slots > most_engine_slots)
    throw UsageError("an engine has from 1 to " + std::to_string(most_engine_slots) + " slots (Options::slots, RANKVIEW_SLOTS), and not " +
                     std::to_string(effective.slots));
  if (effective.capture < 0 || effective.capture > most_captured)
    throw UsageError("of what a task prints from 0 to " + std::to_string(most_captured) +
                     " KiB are kept (Options::capture, RANKVIEW_CAPTURE), and not " + std::to_string(effective.capture));
  return effective;
}

std::string to_string(const Effective& options) {
  std::string lines;
  for_each_option([&](const auto& option) { lines += std::string("  ") + option.variable + "=" + text(options.*option.value) + "\n"; });
  return lines;
}

}  // namespace rankview::detail

namespace rankview::inline abi_0_1 {

// RANKVIEW_REPLAY=run.db:17.3: a task that is to be run here, by itself, instead of the client.
struct Replay {
  std::string file;
  std::int64_t run = 0;  // 0 for the latest that has kept it
  TaskId task;
};

// What the environment asks for, if anything. Throws UsageError if that is no task.
std::optional<Replay> wanted_replay();

// Runs the task in the run that is under way, with that file as its archive, and prints what it gives. The exit code.
int replay(const Replay& wanted);

}  // namespace rankview

#include <rankview/detail/looked_up.hpp>

namespace rankview::inline abi_0_1::detail {

// One task to run again, whatever its result is, on no terms: not isolated, and for as long as it takes. `run`: 0 for the latest that has
// kept it. Throws UsageError if it cannot be run.
Again find_one_again(Controller& controller, std::int64_t run, const TaskId& task);

}  // namespace rankview::detail

namespace rankview::engine {

// A type as written in C++.
std::string type_name(const std::type_info& type);
// The same for what std::type_info::name() gives.
std::string type_name(const char* mangled);
// A name that has been demangled, without what nobody writes out.
std::string without_defaults(std::string name);

}  // namespace rankview::engine

#include <sstream>

namespace rankview::inline abi_0_1 {
namespace {

// Keeps its result as it comes. What travels beside it is dropped.
class Replayed final : public detail::Call {
 public:
  Replayed() : Call(true) {}
  void grow(std::uint64_t, std::uint64_t) override {}
  void load(std::uint64_t, detail::Reader& in) override {
    const auto bytes = in.take(in.remaining());
    value.assign(bytes.begin(), bytes.end());
  }
  void discard() noexcept override { value.clear(); }

  std::vector<std::byte> value;
};

template <class Number>
bool take_number(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

// The task that is named so: 17.3, 17 for the first of call 17, each perhaps with a run before it, 2:17.3.
bool take_task(std::string_view text, Replay& into) {
  if (const auto colon = text.find(':'); colon != std::string_view::npos) {
    if (!take_number(text.substr(0, colon), into.run) || into.run < 1) return false;
    text = text.substr(colon + 1);
  }
  const auto point = text.find('.');
  if (!take_number(text.substr(0, point), into.task.call)) return false;
  return point == std::string_view::npos || take_number(text.substr(point + 1), into.task.item);
}

std::string shown(const std::string& text) { return '"' + text + '"'; }
std::string shown(bool value) { return value ? "true" : "false"; }
template <class T>
std::string shown(const T& value) {
  std::ostringstream out;
  out.precision(17);
  out << value;
  return out.str();
}
template <class T>
std::string shown(const std::vector<T>& values) {
  constexpr std::size_t most = 20;
  std::string text;
  for (std::size_t i = 0; i < values.size() && i < most; ++i) text += (i == 0 ? "" : ", ") + shown(values[i]);
  return "{" + text + (values.size() > most ? ", ...}" : "}");
}

// Of what can be written in a line, that line; else nothing.
template <class... T>
std::string text_of(const std::type_info& type, std::span<const std::byte> bytes) {
  std::string text;
  const auto add = [&]<class Value>(std::type_identity<Value>) {
    if (type == typeid(Value)) {
      detail::Reader in(bytes);
      text = ": " + shown(detail::codec<Value>::load(in));
    }
  };
  try {
    (add(std::type_identity<T>()), ...);
  } catch (const DecodeError&) {
    // What is long did not come along.
    text.clear();
  }
  return text;
}

std::string text_of_value(const std::type_info& type, std::span<const std::byte> bytes) {
  return text_of<bool, char, short, int, long, long long, unsigned char, unsigned short, unsigned, unsigned long, unsigned long long, float,
                 double, std::string, std::vector<int>, std::vector<double>, std::vector<std::string>>(type, bytes);
}

}  // namespace

std::optional<Replay> wanted_replay() {
  const char* const set = std::getenv("RANKVIEW_REPLAY");
  if (set == nullptr || *set == '\0') return std::nullopt;
  const std::string_view text(set);
  // The file's name may have colons, too.
  for (auto colon = text.find(':'); colon != std::string_view::npos; colon = text.find(':', colon + 1)) {
    Replay wanted;
    wanted.file = text.substr(0, colon);
    if (!take_task(text.substr(colon + 1), wanted)) continue;
    if (!std::filesystem::exists(wanted.file)) throw UsageError("RANKVIEW_REPLAY: there is no file " + wanted.file);
    return wanted;
  }
  throw UsageError(
      "RANKVIEW_REPLAY should be a task database and a task in it, run.db:17.3, or run.db:2:17.3 for that of run 2, and is \"" +
      std::string(text) + "\"");
}

int replay(const Replay& wanted) {
  try {
    const auto controller = detail::running_controller();
    detail::Again task = detail::find_one_again(*controller, wanted.run, wanted.task);
    const auto call = detail::make_call<Replayed>();
    call->controller = controller;
    const std::string name = "task " + to_string(wanted.task) + " of " + wanted.file;
    const std::type_info& type = *task.function.thunk->result;
    std::fprintf(stderr, "rankview: %s is run here\n", name.c_str());
    detail::submit_again(call, task);
    const AsyncResult<int> handle(call);
    handle.wait();
    if (const std::exception_ptr error = detail::error_of(*call)) {
      try {
        std::rethrow_exception(error);
      } catch (const std::exception& why) {
        std::printf("%s fails: %s\n", name.c_str(), why.what());
      }
      return 1;
    }
    if (type == typeid(void)) {
      std::printf("%s has ended, and gives nothing\n", name.c_str());
    } else {
      std::printf("%s gives a %s%s\n", name.c_str(), engine::type_name(type).c_str(), text_of_value(type, call->value).c_str());
    }
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "rankview: RANKVIEW_REPLAY: %s\n", error.what());
    return 1;
  }
}

}  // namespace rankview

namespace rankview::engine {

// Before MPI is initialised: notes for which signals of crashes the program has handlers of its own.
void note_crash_handlers();

// Behind that: from here on a crash of this process is told on stderr, with the task that ran, before whoever else has a handler, such as
// MPI, gets it. Not for signals for which the program had one. `server`: of isolation::TaskServer::control(), -1 for none; it tells where
// the process was, and is waited for so long, in case everything ends with this process.
void report_crashes(int server, std::chrono::milliseconds wait);
// The server is there no more.
void report_without_server();
// In a child that was forked: its crashes are told by whoever waits for it.
void report_no_crashes();

// The stack that the calling thread's signal handlers run on, so that they can tell of a stack that was too short.
class HandlerStack {
 public:
  HandlerStack();
  HandlerStack(const HandlerStack&) = delete;
  HandlerStack& operator=(const HandlerStack&) = delete;
  ~HandlerStack();

 private:
  struct Memory;
  std::unique_ptr<Memory> memory_;  // none where the thread had one
};

}  // namespace rankview::engine

namespace rankview::launch {

// With RANKVIEW_ENGINES=n in the environment and no launcher above this process: replaces it by itself under mpirun, with n engines.
// Returns if there is nothing to do. Throws UsageError for a number that is none, or if there is no mpirun.
void start_under_mpirun(int argc, char** argv);

}  // namespace rankview::launch

namespace rankview::wire {

// what(), or a sentence where that gives a null pointer.
std::string error_text(const std::exception& error);
// The same of an exception that is not null, whatever it is.
std::string error_text(const std::exception_ptr& error);

// How earlier attempts at a task failed, a line each.
std::string listed(const std::vector<std::string>& earlier);

}  // namespace rankview::wire

#include <rankview/run.hpp>

namespace rankview::inline abi_0_1::detail {
namespace {

// Before the job ends with a rank that has crashed, it has so long to tell where that was.
constexpr std::chrono::milliseconds telling_limit{2500};

// What has to be undone if the program leaves by std::exit.
struct Program {
  pid_t process = 0;  // not a child that was forked
  std::unique_ptr<Cluster> cluster;
  std::function<void(int)> on_exit;
};

// One to a process, like MPI itself and the exit handlers. Never destroyed: after std::exit, threads of the run that was left may still be
// on their way out.
Program& program = *new Program;

void at_exit(int status, void*) {
  if (program.on_exit && program.process == getpid()) std::exchange(program.on_exit, nullptr)(status);
}

void begin_crash_reports() {
  int rank = 0;
  transport::check(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank");
  const bool last_words = rank == 0 || job_ends_with_a_rank();
  isolation::TaskServer* const server = task_server();
  engine::report_crashes(server != nullptr ? server->control() : -1, last_words ? telling_limit : std::chrono::milliseconds(0));
}

}  // namespace

int run(int argc, char** argv, const std::function<int(Client&)>& client, const Options& chosen) {
  if (program.cluster != nullptr || UnderWay::any())
    throw UsageError("rankview::run within a run: use the Client that the outer one was given, or pass that to what calls this");
  bool owns_mpi = false;
  Options options = chosen;
  std::optional<Replay> replayed;
  try {
    if (transport::mpi_finalised())
      throw UsageError(
          "rankview::run behind MPI_Finalize: MPI can be initialised once in a program, and is over, perhaps with an earlier "
          "rankview::run, which finalises what it has initialised. For several runs, call MPI_Init_thread and MPI_Finalize yourself, and "
          "make a rankview::Cluster between them");
    replayed = wanted_replay();
    if (replayed) {
      options.hub = "";  // it is asked, and has nothing to add
    } else {
      launch::start_under_mpirun(argc, argv);
    }
    owns_mpi = !transport::mpi_running();
    if (owns_mpi) {
      const Effective effective = decide(options);
      if (effective.crash_report) engine::note_crash_handlers();
      if (effective.task_server) prepare_isolation();
      transport::begin_exit_file_early();
      const StartGuard guard(effective.detection ? effective.start_limit : std::chrono::seconds(0), "MPI_Init of all ranks");
      transport::initialise(argc, argv);
      if (effective.crash_report) begin_crash_reports();
    }
  } catch (const Error& error) {
    std::fprintf(stderr, "rankview: %s\n", error.what());
    return 1;
  }

  try {
    program.cluster = std::make_unique<Cluster>(MPI_COMM_WORLD, options);
    if (replayed) {
      if (program.cluster->state_->size > 1)
        throw UsageError("RANKVIEW_REPLAY runs one task in one process: start the program by itself, without mpirun");
      program.cluster->state_->archive = open_hub(replayed->file);
    }
  } catch (const MismatchedBuild& error) {
    // Every rank knows; one says so.
    int rank = 0;
    transport::check(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank");
    if (rank == 0) std::fprintf(stderr, "rankview: %s\n", error.what());
    if (owns_mpi) transport::finalise();
    return 1;
  } catch (const std::exception& error) {
    // Perhaps on this rank alone, while the others wait for it.
    transport::end_process(1, wire::error_text(error));
  }

  Cluster::State& state = *program.cluster->state_;
  // Rank 0 runs no tasks then, but may crash.
  if (owns_mpi && state.rank == 0 && state.size > 1 && !state.options.crash_report) drop_task_server();
  const auto finish = [owns_mpi, &state] {
    program.on_exit = nullptr;
    const bool any_lost = state.any_lost();
    program.cluster.reset();
    // Behind a death it may wait for the dead.
    if (owns_mpi && !any_lost) transport::finalise();
    if (!owns_mpi) return;
    engine::report_without_server();
    drop_task_server();
  };
  program.process = getpid();
  static const int registered = on_exit(at_exit, nullptr);
  static_cast<void>(registered);

  int exit_code = 0;
  if (state.rank != 0) {
    program.on_exit = [&state](int status) {
      liveness::tell_exit(status);
      transport::end_process(
          status, "a task left the program by std::exit(" + std::to_string(status) + ") on engine " + std::to_string(state.rank - 1));
    };
    const wire::End end = state.serve();
    exit_code = static_cast<int>(end.exit_code);
  } else {
    program.on_exit = [&state, owns_mpi](int status) {
      if (engine::current() != nullptr)
        transport::end_process(status, "a task left the program by std::exit(" + std::to_string(status) + ")");
      state.leave(status, "the client left by std::exit(" + std::to_string(status) + ")");
      if (state.any_lost()) {
        state.side_channel.reset();
        return;
      }
      state.endpoint.reset();
      state.comm = {};
      if (owns_mpi) transport::finalise();
    };
    try {
      exit_code = state.control(replayed ? [&replayed](Client&) { return replay(*replayed); } : client);
    } catch (const Draining&) {
      exit_code = exit_to_requeue;
    } catch (...) {
      std::fprintf(stderr, "rankview: the client threw %s\n", engine::describe_uncaught().c_str());
      exit_code = 1;
    }
  }
  finish();
  return exit_code;
}

}  // namespace rankview::detail

namespace rankview::inline abi_0_1 {

StartGuard::StartGuard(std::chrono::seconds limit, std::string what) {
  if (limit.count() == 0) return;
  thread_ = liveness::quiet_thread([this, limit, what = std::move(what)] {
    std::unique_lock lock(mutex_);
    if (over_.wait_for(lock, limit, [this] { return is_over_; })) return;
    transport::end_process(1, what + " has not come about within " + std::to_string(limit.count()) +
                                  " s (RANKVIEW_START_LIMIT_S): a rank has died, or never came");
  });
}

StartGuard::~StartGuard() {
  {
    const std::lock_guard guard(mutex_);
    is_over_ = true;
  }
  over_.notify_one();
  if (thread_.joinable()) thread_.join();
}

}  // namespace rankview

namespace rankview::inline abi_0_1 {
namespace {

// What is written to the descriptor.
constexpr std::uint64_t ask = 1;
constexpr std::uint64_t quit = std::uint64_t{1} << 32U;

std::atomic<int> to_ask{-1};

void on_ask(int) {
  const int before = errno;
  [[maybe_unused]] const auto written = ::write(to_ask, &ask, sizeof(ask));
  errno = before;
}

const sigset_t& only_this() {
  static const sigset_t signals = [] {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    return set;
  }();
  return signals;
}

}  // namespace

StatusReport::StatusReport(std::function<std::string()> describe) : describe_(std::move(describe)) {
  struct sigaction there = {};
  ::sigaction(SIGUSR2, nullptr, &there);
  if ((there.sa_flags & SA_SIGINFO) != 0 || there.sa_handler != SIG_DFL) return;
  // Or somebody waits for it in another way.
  sigset_t blocked;
  if (::pthread_sigmask(SIG_BLOCK, nullptr, &blocked) != 0 || sigismember(&blocked, SIGUSR2) != 0) return;
  asked_ = ::eventfd(0, EFD_CLOEXEC);
  if (asked_ < 0) return;
  to_ask = asked_;
  // Tasks should not notice: the thread of this takes the signal, and neither this one, nor those that begin later.
  thread_ = std::thread([this] { run(); });
  static_cast<void>(::pthread_sigmask(SIG_BLOCK, &only_this(), nullptr));
  struct sigaction action = {};
  action.sa_handler = &on_ask;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGUSR2, &action, nullptr);
}

StatusReport::~StatusReport() {
  if (asked_ < 0) return;
  // One that is on its way goes nowhere.
  std::signal(SIGUSR2, SIG_IGN);
  static_cast<void>(::pthread_sigmask(SIG_UNBLOCK, &only_this(), nullptr));
  std::signal(SIGUSR2, SIG_DFL);
  [[maybe_unused]] const auto written = ::write(asked_, &quit, sizeof(quit));
  thread_.join();
  to_ask = -1;
  ::close(asked_);
}

void StatusReport::run() const {
  static_cast<void>(::pthread_sigmask(SIG_UNBLOCK, &only_this(), nullptr));
  for (;;) {
    std::uint64_t wanted = 0;
    if (::read(asked_, &wanted, sizeof(wanted)) < 0 && errno != EINTR) return;
    if (wanted >= quit) return;
    if (wanted == 0) continue;
    capture::say(describe_());
  }
}

}  // namespace rankview

namespace rankview::inline abi_0_1 {
namespace {

struct Owned {
  pid_t process = 0;
  std::unique_ptr<isolation::TaskServer> server;
};

// Never destroyed: it ends with the process, as seen from its side.
Owned& owned = *std::make_unique<Owned>().release();

}  // namespace

isolation::TaskServer* task_server() { return owned.process == ::getpid() ? owned.server.get() : nullptr; }

void drop_task_server() {
  if (task_server() != nullptr) owned.server.reset();
}

void prepare_isolation() {
  if (task_server() != nullptr) return;
  if (transport::mpi_running() || transport::mpi_finalised())
    throw UsageError("rv::prepare_isolation() behind MPI_Init: it comes before, so that the processes of isolated tasks have no MPI");
  try {
    owned.server = isolation::TaskServer::fork();
    owned.process = ::getpid();
  } catch (const std::system_error& error) {
    throw Error(std::string("the process that isolated tasks are started from cannot be made: ") + error.what());
  }
}

}  // namespace rankview

namespace rankview::inline abi_0_1 {
namespace {

// Never destroyed: after std::exit, a run that was left may still be here.
struct Registry {
  std::mutex mutex;
  std::vector<const UnderWay*> runs;
};
Registry& registry = *new Registry;

}  // namespace

UnderWay::UnderWay(MPI_Comm comm, int size) : comm_(comm), size_(size), thread_(std::this_thread::get_id()) {
  const std::lock_guard guard(registry.mutex);
  for (const UnderWay* const run : registry.runs) {
    if (run->comm_ == comm) throw UsageError("Cluster::run within a run of the same Cluster: use the Client that the outer one was given");
    if (run->holds_up(comm))
      throw UsageError("Cluster::run within a run of the same ranks, which serve that one and cannot come to this: use its Client");
  }
  registry.runs.push_back(this);
}

UnderWay::~UnderWay() {
  const std::lock_guard guard(registry.mutex);
  std::erase(registry.runs, this);
}

void UnderWay::check_outside(MPI_Comm comm) {
  const std::lock_guard guard(registry.mutex);
  if (std::any_of(registry.runs.begin(), registry.runs.end(), [comm](const UnderWay* run) { return run->holds_up(comm); }))
    throw UsageError(
        "a Cluster within a run of the same ranks, which serve that one and cannot come to this: make it before the run or after it, "
        "or use the run's Client");
}

bool UnderWay::any() {
  const std::lock_guard guard(registry.mutex);
  return !registry.runs.empty();
}

// Whether the calling thread, the client's or a task's, would wait in vain for the others of `comm`.
bool UnderWay::holds_up(MPI_Comm comm) const {
  if (size_ == 1 || (thread_ != std::this_thread::get_id() && engine::current() == nullptr)) return false;
  int same = MPI_UNEQUAL;
  transport::check(MPI_Comm_compare(comm_, comm, &same), "MPI_Comm_compare");
  return same != MPI_UNEQUAL;
}

}  // namespace rankview

namespace rankview::inline abi_0_1 {
namespace {

constexpr auto period = std::chrono::seconds(2);

}  // namespace

Watch::Watch(std::function<std::optional<std::uint64_t>()> resting)
    : client_(gettid()), resting_(std::move(resting)), thread_([this] { watch(); }) {}

Watch::~Watch() {
  {
    const std::lock_guard guard(mutex_);
    end_ = true;
  }
  ended_.notify_all();
  thread_.join();
}

void Watch::watch() {
  std::optional<std::uint64_t> before;
  std::string call_before;
  std::unique_lock guard(mutex_);
  while (!ended_.wait_for(guard, period, [this] { return end_; })) {
    const std::optional<std::uint64_t> now = resting_();
    std::string call;
    if (now && now == before) call = transport::mpi_call_of(client_);
    if (!call.empty() && call == call_before) {
      std::fprintf(stderr,
                   "rankview: the client is in %s, while the other ranks serve as engines, have nothing to do, and do not come to it. "
                   "Call MPI in tasks that take a communicator, or between the runs of a Cluster.\n",
                   call.c_str());
      return;
    }
    before = now;
    call_before = std::move(call);
  }
}

}  // namespace rankview

// What is looked up in the database of tasks for the client. Throws UsageError where there is none.
namespace rankview::controller {

Table ask(detail::Controller& controller, const std::string& sql, const TaskArchive::Values& values = {});
// The run itself, or this one for 0.
std::int64_t number_of_run(detail::Controller& controller, std::int64_t run);
// As errors name a task.
std::string shown(std::int64_t run, const TaskId& task);
// A number that was asked for; 0 for nothing.
std::int64_t number_in(const std::optional<std::string>& cell);
// The numbers with commas between them, some hundreds to a text.
std::vector<std::string> lists_of(const std::vector<std::uint64_t>& items);

}  // namespace rankview::controller

// Tasks that are run again from what the database has kept of them.
namespace rankview::inline abi_0_1::detail {

namespace controller = rankview::controller;
using controller::number_in;

namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return {reinterpret_cast<const std::byte*>(text.data()), text.size()}; }

// Code that was kept, as this process has it. In the same build it is where it was; otherwise it is found by its name. Null if there is
// none.
const void* kept_code_place(const std::string& name, const CodeAddress& address) {
  const auto modules = rankview::wire::loaded_modules();
  const bool same = std::any_of(modules.begin(), modules.end(), [&](const auto& module) { return module.id == address.module; });
  if (!same) return name.empty() ? nullptr : isolation::place_named(name);
  const void* const place = local_address(address);
  // Then the place has that name, unless somebody has changed the file.
  return isolation::linker_name(place) == name ? place : nullptr;
}

// What tasks of one call are, and were.
struct KeptCall {
  Function function;
  std::string label;
  bool direct = false;
  Flags flags;
};

KeptCall find_call(Controller& controller, std::int64_t run, std::uint64_t call, const TaskId& task, const std::type_info* type) {
  const Table table = controller::ask(
      controller,
      "select thunk, thunk_module, thunk_offset, code.function, function_module, function_offset, state, result, direct, isolation, "
      "timeout, memory_limit, slots, label, call.function from code left join call on call.run = code.run and call.id = code.call "
      "where code.run = ? and code.call = ?",
      {run, static_cast<std::int64_t>(call)});
  const std::string whose = controller::shown(run, task);
  if (table.rows.empty())
    throw UsageError(whose +
                     " cannot be run again, since its arguments were not kept: of tasks that failed they are, unless "
                     "Options::keep = rv::Keep::none, and of all with rv::Keep::all (RANKVIEW_KEEP)");
  const auto& row = table.rows.front();
  const std::string result = row[7].value_or("");
  if (type != nullptr && result != type->name())
    throw TypeError("the result of " + whose + " is a " + engine::type_name(result.c_str()) + ", not a " + engine::type_name(*type));
  const auto code = [&](std::size_t column) {
    const CodeAddress address{static_cast<std::uint64_t>(number_in(row[column + 1])),
                              static_cast<std::uint64_t>(number_in(row[column + 2]))};
    const void* const place = kept_code_place(row[column].value_or(""), address);
    if (place == nullptr)
      throw UsageError(whose + " cannot be run again by this build of the program, which has no " +
                       (row[14].value_or("").empty() ? "function of that name" : *row[14]) + ", or several" +
                       (row[column].value_or("").empty() ? " (the build that kept it was stripped, so that its name is not known)" : ""));
    return place;
  };
  KeptCall kept;
  kept.function.thunk = static_cast<const Thunk*>(code(0));
  if (row[4]) kept.function.code = code(3);
  if (kept.function.thunk->load != nullptr) {
    const std::string state = row[6].value_or("");
    kept.function.object.edit().raw(state.data(), state.size());
  }
  if (kept.function.thunk->result == nullptr || kept.function.thunk->result->name() != result)
    throw UsageError(whose + " cannot be run again by this build of the program: its callable returns something else now");
  kept.direct = number_in(row[8]) != 0;
  kept.label = row[13].value_or("");
  kept.flags.isolation = static_cast<Isolation>(number_in(row[9]));
  kept.flags.timeout = Seconds(std::chrono::nanoseconds(number_in(row[10])));
  kept.flags.memory_limit = static_cast<std::uint64_t>(number_in(row[11]));
  kept.flags.slots = static_cast<int>(number_in(row[12]));
  kept.flags.label = kept.label;
  return kept;
}

struct KeptArguments {
  int engine = -1;
  std::shared_ptr<const std::string> bytes;
};

std::map<std::uint64_t, KeptArguments> find_arguments(Controller& controller, std::int64_t run, std::uint64_t call,
                                                      const std::vector<std::uint64_t>& items) {
  std::map<std::uint64_t, KeptArguments> found;
  for (const std::string& list : controller::lists_of(items)) {
    Table table =
        controller::ask(controller, "select item, engine, arguments from kept where run = ? and call = ? and item in (" + list + ")",
                        {run, static_cast<std::int64_t>(call)});
    for (auto& row : table.rows) {
      if (row[2])
        found[static_cast<std::uint64_t>(number_in(row[0]))] = {static_cast<int>(number_in(row[1])),
                                                                std::make_shared<const std::string>(std::move(*row[2]))};
    }
  }
  return found;
}

Function copy_of(const Function& function) {
  Function copy;
  copy.thunk = function.thunk;
  copy.code = function.code;
  if (function.object) {
    const auto state = function.object->bytes.bytes();
    copy.object.edit().raw(state.data(), state.size());
  }
  return copy;
}

}  // namespace

Again find_one_again(Controller& controller, std::int64_t run, const TaskId& task) {
  if (run == 0)
    run = number_in(controller::ask(controller, "select max(run) from kept where call = ? and item = ?",
                                    {static_cast<std::int64_t>(task.call), static_cast<std::int64_t>(task.item)})
                        .rows.at(0)
                        .at(0));
  if (run == 0) throw UsageError("no run has kept the arguments of task " + to_string(task) + " (Options::keep, RANKVIEW_KEEP)");
  KeptCall kept = find_call(controller, run, task.call, task, nullptr);
  const auto found = find_arguments(controller, run, task.call, {task.item});
  if (found.empty()) throw UsageError("the arguments of " + controller::shown(run, task) + " were not kept (Options::keep, RANKVIEW_KEEP)");
  Again again;
  again.arguments.push_back(found.begin()->second.bytes);
  again.function = std::move(kept.function);
  again.label = kept.label;
  return again;
}

std::vector<Again> find_again(Controller& controller, const std::vector<TaskOfRun>& tasks, const std::type_info& type, const Flags& flags) {
  if (!flags.checkpoint->empty()) throw UsageError("resubmit() runs tasks again, whatever a checkpoint has of them");
  using CallOfRun = std::pair<std::int64_t, std::uint64_t>;
  std::map<CallOfRun, std::vector<std::size_t>> calls;  // the places of their tasks
  for (std::size_t i = 0; i < tasks.size(); ++i)
    calls[{controller::number_of_run(controller, tasks[i].run), tasks[i].task.call}].push_back(i);
  std::vector<Again> all;
  for (const auto& [call, places] : calls) {
    std::vector<std::uint64_t> items;
    for (const std::size_t place : places) items.push_back(tasks[place].task.item);
    const auto found = find_arguments(controller, call.first, call.second, items);
    const KeptCall kept = find_call(controller, call.first, call.second, tasks[places.front()].task, &type);
    // Those of a direct view by their engines.
    std::map<int, Again> by_engine;
    for (const std::size_t place : places) {
      const TaskId& task = tasks[place].task;
      const auto at = found.find(task.item);
      if (at == found.end())
        throw UsageError(controller::shown(call.first, task) +
                         " cannot be run again, since its arguments were not kept: with RANKVIEW_KEEP=all those of all tasks are, and "
                         "otherwise of tasks that failed");
      const int engine = kept.direct && flags.targets->empty() ? at->second.engine : -1;
      if (kept.direct && flags.targets->empty() && engine < 0)
        throw UsageError(controller::shown(call.first, task) +
                         " was for one engine and never came to it, so that it is not known which: name one by the flag targets");
      Again& again = by_engine[engine];
      again.places.push_back(place);
      again.arguments.push_back(at->second.bytes);
    }
    for (auto& [engine, again] : by_engine) {
      again.function = copy_of(kept.function);
      again.label = kept.label;
      again.flags = kept.flags;
      again.flags.add(flags);
      if (engine >= 0) again.engines = all_live(controller, {resolve(controller, engine)});
      if (!flags.targets->empty()) again.engines = all_live(controller, resolve(controller, flags.targets));
      all.push_back(std::move(again));
    }
  }
  return all;
}

namespace {

// Writes the arguments of an item as they were.
void write_arguments(Writer& out, const std::shared_ptr<const std::string>& kept) {
  Reader in(bytes_of(*kept));
  std::vector<std::uint64_t> sizes(in.count(sizeof(std::uint64_t)));
  std::uint64_t attached = 0;
  for (std::uint64_t& size : sizes) {
    size = in.value<std::uint64_t>();
    if (size > in.remaining() || attached + size > in.remaining()) throw DecodeError("the arguments of a task that were kept are damaged");
    attached += size;
  }
  if (attached > in.remaining()) throw DecodeError("the arguments of a task that were kept are damaged");
  const auto bytes = in.take(in.remaining() - static_cast<std::size_t>(attached));
  out.raw(bytes.data(), bytes.size());
  for (const std::uint64_t size : sizes) {
    const auto part = in.take(static_cast<std::size_t>(size));
    out.attachments.push_back({part.data(), part.size()});
  }
  if (!sizes.empty()) out.kept.push_back(kept);
}

}  // namespace

void submit_again(const std::shared_ptr<Call>& call, const Again& tasks) {
  call->function = copy_of(tasks.function);
  call->spread = Spread::pool;
  call->engines = tasks.engines;
  if (tasks.flags.chunksize <= 0) throw UsageError("chunksize must be at least 1, and is " + std::to_string(tasks.flags.chunksize));
  call->chunk_size = static_cast<std::uint32_t>(tasks.flags.chunksize);
  call->ordered = tasks.flags.ordered;
  set_label(*call, tasks.flags.label);
  set_balanced_terms(*call, tasks.flags);
  Submission submission(call, tasks.arguments.size());
  for (const auto& arguments : tasks.arguments) {
    // Also where all are of one size: each has its own before it.
    Writer& out = submission.begin_item(0);
    write_arguments(out, arguments);
    submission.end_item();
  }
  submission.finish(true);
}

void throw_not_together() {
  throw UsageError("tasks of several calls, or of several engines, whose results cannot be copied: resubmit them one call at a time");
}

}  // namespace rankview::detail

#include <numeric>

// What every call has, and what templates check of the arguments of one.
namespace rankview::inline abi_0_1::detail {

Call::Call(bool has_no_user_code) : plain(has_no_user_code) {
  static_assert(sizeof(CallLife) <= life_bytes && alignof(CallLife) <= alignof(std::uint64_t));
  std::construct_at(reinterpret_cast<CallLife*>(life_));
}

Call::~Call() { std::destroy_at(&life()); }

std::byte* Call::room(std::uint64_t) { return nullptr; }

void Call::save(std::uint64_t, Writer&) {}

bool done(const Call& call) noexcept { return call.life().done(); }

std::size_t item_count(const Call& call) noexcept { return call.life().items.size(); }

std::size_t ended_count(const Call& call) noexcept { return static_cast<std::size_t>(call.life().ended); }

CallHandle::CallHandle(const std::shared_ptr<Call>& call) : slot_(call->life().slot) { slot_->handles.store(1, std::memory_order_relaxed); }

void let_go(Call& call) noexcept { call.controller->abandon(call); }

std::string listed(std::span<const std::uint64_t> counts) {
  constexpr std::size_t most = 20;
  std::string text;
  for (std::size_t i = 0; i < std::min(counts.size(), most); ++i) text += (i == 0 ? "" : ", ") + std::to_string(counts[i]);
  return text + (counts.size() > most ? ", ..." : "");
}

void check_lengths(std::span<const std::uint64_t> lengths) {
  if (std::adjacent_find(lengths.begin(), lengths.end(), std::not_equal_to<>()) == lengths.end()) return;
  throw UsageError("map over ranges of different lengths: " + listed(lengths) +
                   "; those that know their length must have the same, and rv::repeat(x) goes with any");
}

void check_round_robin(const std::string& what, std::span<const std::uint64_t> counts) {
  const std::uint64_t total = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] != part_size(total, counts.size(), i))
      throw UsageError(what + ": parts that were dealt round robin differ by one element at most, the longer ones first; these have " +
                       listed(counts));
  }
}

void throw_nobody() { throw UsageError("the view has no engines: its list of targets is empty, and there is nobody to run this"); }

std::size_t place_of(std::int64_t index, std::size_t count) {
  const std::int64_t place = index < 0 ? index + static_cast<std::int64_t>(count) : index;
  if (place < 0 || place >= static_cast<std::int64_t>(count))
    throw std::out_of_range("there is no element " + std::to_string(index) + " in a result of " + std::to_string(count));
  return static_cast<std::size_t>(place);
}

}  // namespace rankview::detail

// What the compiler watches in this build, where GCC and clang say so in ways of their own.
namespace rankview::transport {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool address_sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool address_sanitized = true;
#else
inline constexpr bool address_sanitized = false;
#endif
#else
inline constexpr bool address_sanitized = false;
#endif

#if defined(__SANITIZE_THREAD__)
inline constexpr bool thread_sanitized = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool thread_sanitized = true;
#else
inline constexpr bool thread_sanitized = false;
#endif
#else
inline constexpr bool thread_sanitized = false;
#endif

}  // namespace rankview::transport

#include <rankview/detail/call_memory.hpp>

#include <boost/intrusive/list.hpp>

#include <sys/mman.h>
#include <new>

namespace rankview::controller {

Slab new_slab(bool huge) {
  Slab slab(std::aligned_alloc(slab_bytes, slab_bytes));
  if (slab == nullptr) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  // Where the system does not, nothing is lost.
  if (huge) static_cast<void>(madvise(slab.get(), slab_bytes, MADV_HUGEPAGE));
#endif
  return slab;
}

}  // namespace rankview::controller

namespace rankview::inline abi_0_1::detail {
namespace {

// Blocks of one size. Of the slabs that nothing is left in one is kept, since it may be wanted at once.
class Pool {
 public:
  explicit Pool(std::size_t block) : block_(block) {}

  void* allocate() {
    const std::lock_guard guard(mutex_);
    if (with_room_.empty()) add_slab();
    Head& head = with_room_.front();
    void* block = head.freed;
    if (block != nullptr) {
      head.freed = *static_cast<void**>(block);
    } else {
      block = reinterpret_cast<std::byte*>(&head) + first_block + block_ * head.begun++;
    }
    if (head.used++ == 0) --empty_;
    if (full(head)) with_room_.pop_front();
    return block;
  }

  void free(void* block) noexcept {
    const std::lock_guard guard(mutex_);
    Head& head = *reinterpret_cast<Head*>(reinterpret_cast<std::uintptr_t>(block) & ~(controller::slab_bytes - 1));
    if (full(head)) with_room_.push_front(head);
    *static_cast<void**>(block) = head.freed;
    head.freed = block;
    if (--head.used != 0 || ++empty_ == 1) return;
    --empty_;
    with_room_.erase(with_room_.iterator_to(head));
    controller::FreeSlab()(&head);
    --slabs_;
  }

 private:
  // At the beginning of a slab.
  struct Head : boost::intrusive::list_base_hook<> {
    void* freed = nullptr;  // a list of blocks
    std::size_t used = 0;   // blocks that are in use
    std::size_t begun = 0;  // blocks that ever were
  };
  static constexpr std::size_t first_block = (sizeof(Head) + call_alignment - 1) / call_alignment * call_alignment;

  [[nodiscard]] bool full(const Head& head) const { return head.used == (controller::slab_bytes - first_block) / block_; }

  void add_slab() {
    // Small programs have one of each size, which they hardly touch.
    controller::Slab slab = controller::new_slab(slabs_ != 0);
    with_room_.push_front(*new (slab.get()) Head);
    static_cast<void>(slab.release());
    ++slabs_;
    ++empty_;
  }

  const std::size_t block_;
  std::mutex mutex_;
  std::size_t slabs_ = 0;
  std::size_t empty_ = 0;  // of these
  boost::intrusive::list<Head> with_room_;
};

constexpr std::size_t largest_block = 1024;

using Pools = std::array<Pool, largest_block / call_alignment>;

template <std::size_t... I>
Pools& make_pools(std::index_sequence<I...> /*all*/) {
  return *new Pools{Pool((I + 1) * call_alignment)...};
}

// The pool for blocks of that size, null if they are too large or are to be watched one by one.
Pool* pool_for(std::size_t bytes) {
  if (transport::address_sanitized || bytes > largest_block) return nullptr;
  // Calls may go when everything static has gone.
  static Pools& pools = make_pools(std::make_index_sequence<std::tuple_size_v<Pools>>());
  return &pools[(bytes - 1) / call_alignment];
}

// The block that a thread has freed last: who makes one call after the other gets it again without a lock. It has no destructor, since a
// call may go when those of a thread's objects have run.
struct Spare {
  void* block;
  Pool* pool;  // that it is of
  bool opened;
  bool closed;
};
thread_local constinit Spare spare{};

// Ends with the thread, and its spare block with it.
class SpareOwner {
 public:
  SpareOwner() { spare.opened = true; }
  SpareOwner(const SpareOwner&) = delete;
  SpareOwner& operator=(const SpareOwner&) = delete;
  ~SpareOwner() {
    spare.closed = true;
    if (spare.block != nullptr) spare.pool->free(std::exchange(spare.block, nullptr));
  }
};

void open_spare() { thread_local const SpareOwner owner; }

}  // namespace

void* allocate_call(std::size_t bytes) {
  if (Pool* const pool = pool_for(bytes)) {
    if (spare.block != nullptr && spare.pool == pool) return std::exchange(spare.block, nullptr);
    return pool->allocate();
  }
  return operator new (bytes, std::align_val_t{call_alignment});
}

void free_call(void* memory, std::size_t bytes) noexcept {
  if (Pool* const pool = pool_for(bytes)) {
    if (!spare.opened) open_spare();
    if (spare.block == nullptr && !spare.closed) {
      spare = {memory, pool, true, false};
    } else {
      pool->free(memory);
    }
  } else {
    operator delete (memory, std::align_val_t{call_alignment});
  }
}

}  // namespace rankview::detail

namespace rankview::controller {
namespace {

std::uint16_t new_run() {
  static std::atomic<std::uint16_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

CallRegistry::CallRegistry() : run_(new_run()) {}

void CallRegistry::enlist(const std::shared_ptr<detail::Call>& call) {
  call->id = next_number_++;
  call->life().slot = &calls_.add(call->id, *call);
  call->life().slot->run = run_;
  call->life().self = call;
  call->life().in_flight = true;
  ++in_flight_;
}

std::shared_ptr<detail::Call> CallRegistry::end(detail::Call& call) {
  call.life().in_flight = false;
  --in_flight_;
  // Whoever is still making it may be about to keep it.
  const bool wanted = call.life().has_handles || !call.life().laid_out;
  return wanted && !call.life().abandoned ? nullptr : drop(call);
}

std::shared_ptr<detail::Call> CallRegistry::drop(detail::Call& call) {
  if (call.life().slot == nullptr) return nullptr;
  calls_.remove(call.id);
  call.life().slot = nullptr;
  return std::move(call.life().self);
}

detail::Call* CallRegistry::find(std::uint64_t number) const {
  detail::Call* const call = calls_.find(number);
  return call != nullptr && call->life().in_flight ? call : nullptr;
}

std::vector<std::shared_ptr<detail::Call>> CallRegistry::unfinished() const {
  std::vector<std::shared_ptr<detail::Call>> calls;
  calls.reserve(in_flight_);
  for_each([&calls](const detail::Call& call) { calls.push_back(call.life().self); });
  std::sort(calls.begin(), calls.end(), [](const auto& a, const auto& b) { return a->id < b->id; });
  return calls;
}

}  // namespace rankview::controller

#include <rankview/flags.hpp>

// As what the items of a call are known in a checkpoint.
namespace rankview::inline abi_0_1::detail {
namespace {

// With it changes what keys mean.
constexpr std::string_view key_scheme = "rankview 1";

std::string name_of_function(const void* function) {
  std::string name = isolation::linker_name(function);
  if (name.empty())
    throw UsageError(
        "a checkpoint knows a function by its name, which the program does not have (it was stripped), or has for several (static "
        "functions "
        "of several files): call it from a function object");
  return name;
}

checkpoint::Callable name_of(const Call& call, const CalledAs& as) {
  checkpoint::Callable callable;
  if (call.function.code != nullptr) {
    callable.name = name_of_function(call.function.code);
  } else {
    callable.name = as.callable.name();
  }
  callable.shown = engine::type_name(callable.name.c_str());
  if (as.arguments != nullptr) {
    callable.name += std::string(" ") + as.arguments->name();
    callable.shown += " of " + engine::type_name(*as.arguments);
  }
  return callable;
}

// As void(int, std::string) is shown to people.
std::string parameter_list(const std::type_info& function) {
  const std::string name = engine::type_name(function);
  return name.substr(name.find('('));
}

// Of what a user's function identifies nobody needs to know how it is called.
std::string name_by(const KeyFunction& key, const CalledAs& as, const std::string& shown) {
  if (key.function().parameters() != as.travelling)
    throw UsageError("Flags::key is a function of " + parameter_list(key.function().parameters()) + ", and the arguments of " + shown +
                     " are " + parameter_list(as.travelling) + ": it has to take these");
  return std::string("key ") + key.function().result().name();
}

// What the user's function gives for arguments, encoded.
Buffer given_by(const ErasedKey& function, std::span<const std::byte> bytes, std::span<const Attachment> attachments) {
  std::vector<std::uint64_t> sizes;
  for (const Attachment& attached : attachments) sizes.push_back(attached.size);
  Claims claims(sizes);
  Reader in(bytes, &claims);
  const auto fetch = [&] {
    if (!in.done() || claims.places().size() != attachments.size()) throw DecodeError("the arguments of a task are not those of its key");
    for (std::size_t i = 0; i < attachments.size(); ++i) std::memcpy(claims.places()[i].data, attachments[i].data, attachments[i].size);
  };
  Writer out;
  out.flat = true;
  out.canonical = true;
  function.write(in, fetch, out);
  return std::move(out.bytes);
}

}  // namespace

void note_failure(const Checkpointed& call, std::uint64_t item, const std::string& why) {
  // What was not submitted to its end has no key.
  if (item < call.keys.size()) call.in->add_failure(call.callable, call.keys[item], why);
}

Keys::Keys(const Call& call, const checkpoint::Callable& as) : function_(call.life().more->checkpointed->key) {
  Writer out;
  out.text(key_scheme);
  out.text(as.name);
  out.text(as.version);
  if (!function_) {
    const Buffer& state = call.function.object->bytes;
    out.raw(state.data(), state.size());
  }
  seed_ = checkpoint::checksum(out.bytes.bytes());
}

checkpoint::Key Keys::of(const Writer& arguments, const Writer::Mark& mark, std::size_t skipped) const {
  const auto bytes = arguments.bytes.bytes().subspan(mark.bytes + skipped);
  const std::span attachments = std::span(arguments.attachments).subspan(mark.attachments);
  if (function_) return checkpoint::key_of(given_by(function_.function(), bytes, attachments).bytes(), seed_);
  checkpoint::Key key = checkpoint::key_of(bytes, seed_);
  for (const Attachment& attached : attachments) {
    const checkpoint::Key both[] = {key, checkpoint::key_of({attached.data, attached.size}, seed_)};
    key = checkpoint::key_of(std::as_bytes(std::span(both)), attached.size);
  }
  return key;
}

void set_checkpoint(Call& call, const Flags& flags, const CalledAs& as) {
  Checkpointed checkpointed;
  checkpointed.as = name_of(call, as);
  checkpointed.as.version = flags.version;
  checkpointed.key = flags.key;
  if (checkpointed.key) checkpointed.as.name = name_by(checkpointed.key, as, checkpointed.as.shown);
  checkpointed.as.result = engine::type_name(as.result);
  if (as.result_bytes != 0) checkpointed.as.result += " of " + std::to_string(as.result_bytes) + " bytes";
  checkpointed.strict = flags.durable == Durable::strict;
  checkpointed.retry_failed = flags.retry_failed;
  if (!checkpointed.key) call.controller->checkpoints().tell_apart(checkpointed.as, as.callable, call.function.code);
  checkpointed.in = call.controller->checkpoints().open(flags.checkpoint);
  checkpointed.callable = checkpointed.in->enlist(
      checkpointed.as,
      checkpointed.key ? "tasks whose key is of type " + engine::type_name(checkpointed.key.function().result()) : checkpointed.as.shown);
  if (checkpointed.strict) checkpointed.in->hurry();
  if (checkpointed.in->sharing() != nullptr) call.controller->share(checkpointed.in);
  call.life().more.edit().checkpointed.edit() = std::move(checkpointed);
  call.life().checkpointed = true;
  call.life().saves = true;
}

}  // namespace rankview::detail

namespace rankview::inline abi_0_1::detail {

// What is looked for of a call's items in its checkpoint while they are encoded.
class CheckpointedItems {
 public:
  explicit CheckpointedItems(const Call& call);

  // Looks for the result of the next item, whose arguments were written behind the mark, `skipped` bytes later. If it is there, it lies
  // with those recalled.
  bool look_up(const Writer& arguments, const Writer::Mark& mark, std::size_t skipped);

  // So many have been handed over: whether it is time to see to the engines. Where what was found and what is new alternate, each is handed
  // over by itself.
  bool handed_over(std::size_t items) {
    constexpr std::size_t many = 256;
    handed_over_ += items;
    return handed_over_ >= many && std::exchange(handed_over_, 0) != 0;
  }

  std::vector<checkpoint::Key> keys;  // of the block that is being filled
  Recalled recalled;

 private:
  void explain(const Writer& arguments, const Writer::Mark& mark, std::size_t skipped, const std::string& failure) const;

  const Call& call_;
  const Checkpointed& in_;
  const Keys keys_;
  const bool explains_;
  std::uint64_t items_ = 0;  // looked for so far
  std::size_t handed_over_ = 0;
};

}  // namespace rankview::detail

namespace rankview::inline abi_0_1::detail {
namespace {

// RANKVIEW_EXPLAIN=1: whether to say of each item that is run why it is.
bool told_to_explain() {
  const char* const wanted = std::getenv("RANKVIEW_EXPLAIN");
  return wanted != nullptr && *wanted != '\0' && std::string_view(wanted) != "0";
}

}  // namespace

CheckpointedItems::CheckpointedItems(const Call& call)
    : call_(call), in_(*call.life().more->checkpointed), keys_(call, in_.as), explains_(told_to_explain()) {}

bool CheckpointedItems::look_up(const Writer& arguments, const Writer::Mark& mark, std::size_t skipped) {
  const checkpoint::Key key = keys_.of(arguments, mark, skipped);
  const std::size_t before = recalled.bytes.size();
  const checkpoint::Found found = in_.in->find(key, recalled.bytes, in_.strict);
  ++items_;
  if (found == checkpoint::Found::result || (found == checkpoint::Found::failure && !in_.retry_failed)) {
    recalled.parts.push_back({key, recalled.bytes.size() - before, found == checkpoint::Found::failure});
    return true;
  }
  if (explains_) {
    const auto text = recalled.bytes.bytes().subspan(before);
    explain(arguments, mark, skipped, {reinterpret_cast<const char*>(text.data()), text.size()});
  }
  recalled.bytes.truncate(before);
  keys.push_back(key);
  return false;
}

// `failure`: how it failed before, or nothing.
void CheckpointedItems::explain(const Writer& arguments, const Writer::Mark& mark, std::size_t skipped, const std::string& failure) const {
  std::string why = failure.empty() ? "new" : "failed before with: " + failure;
  if (failure.empty()) {
    for (const std::string& version : in_.in->versions(in_.as.name)) {
      checkpoint::Callable other = in_.as;
      other.version = version;
      Buffer ignored;
      if (in_.in->find(Keys(call_, other).of(arguments, mark, skipped), ignored) != checkpoint::Found::nothing)
        why = "version changed from \"" + version + "\" to \"" + in_.as.version + "\"";
    }
  }
  std::fprintf(stderr, "rankview: task %llu of %s runs: %s\n", static_cast<unsigned long long>(items_ - 1), in_.as.shown.c_str(),
               why.c_str());
}

}  // namespace rankview::detail

namespace rankview::controller {
namespace {

checkpoint::Origin this_process() {
  checkpoint::Origin origin;
  char host[256] = {};
  if (::gethostname(host, sizeof(host) - 1) == 0) origin.host = host;
  origin.process = static_cast<std::uint64_t>(::getpid());
  origin.began = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  std::error_code unknown;
  origin.program = std::filesystem::read_symlink("/proc/self/exe", unknown);
  return origin;
}

}  // namespace

std::shared_ptr<checkpoint::Checkpoint> Checkpoints::open(const std::string& directory) {
  std::unique_lock guard(mutex_);
  std::error_code unknown;
  if (const auto known = named_.find(directory); known != named_.end()) return known->second;
  // The client may go elsewhere, and what is to be written is still to be found.
  const std::string path = std::filesystem::weakly_canonical(std::filesystem::absolute(directory, unknown), unknown);
  const std::string& name = unknown ? directory : path;
  const auto not_being_opened = [this, &name] { return !opening_.contains(name); };
  while (!settings_.clock.wait_for(opened_, guard, std::chrono::hours(1), not_being_opened)) continue;
  if (const auto known = open_.find(name); known != open_.end()) return named_[directory] = known->second;
  opening_.insert(name);
  guard.unlock();
  std::shared_ptr<checkpoint::Checkpoint> opened;
  std::exception_ptr error;
  try {
    opened = read(name);
  } catch (const std::system_error& refused) {
    error = std::make_exception_ptr(UsageError("the checkpoint " + directory + " cannot be used: " + refused.what()));
  } catch (...) {
    error = std::current_exception();
  }
  guard.lock();
  opening_.erase(name);
  opened_.notify_all();
  if (error) std::rethrow_exception(error);
  open_.emplace(name, opened);
  return named_[directory] = std::move(opened);
}

// It takes its time, so it is done without the lock.
std::shared_ptr<checkpoint::Checkpoint> Checkpoints::read(const std::string& directory) const {
  checkpoint::Checkpoint::Settings settings;
  settings.origin = this_process();
  settings.clock = settings_.clock;
  settings.lease = settings_.lease;
  settings.attend = settings_.attend;
  settings.now = [clock = settings_.clock] { return std::chrono::nanoseconds(clock.now()); };
  settings.warn = [](const std::string& what) { std::fprintf(stderr, "rankview: %s\n", what.c_str()); };
  return std::make_shared<checkpoint::Checkpoint>(settings_.disk, directory, std::move(settings));
}

void Checkpoints::flush(std::optional<std::chrono::milliseconds> limit) {
  // Whatever could not be written is told when they go.
  for (const auto& checkpoint : all()) checkpoint->flush(limit);
}

void Checkpoints::stop_sharing() {
  for (const auto& checkpoint : all()) {
    if (checkpoint->sharing() != nullptr) checkpoint->sharing()->stop();
  }
}

void Checkpoints::leave() {
  for (const auto& checkpoint : all()) {
    if (checkpoint->sharing() != nullptr) checkpoint->sharing()->leave();
  }
}

std::vector<std::shared_ptr<checkpoint::Checkpoint>> Checkpoints::all() {
  const std::lock_guard guard(mutex_);
  std::vector<std::shared_ptr<checkpoint::Checkpoint>> all;
  for (const auto& [directory, checkpoint] : open_) all.push_back(checkpoint);
  return all;
}

void Checkpoints::tell_apart(const checkpoint::Callable& callable, const std::type_info& type, const void* function) {
  const std::lock_guard guard(mutex_);
  const auto [known, first] = callables_.try_emplace({callable.name, callable.version}, &type, function);
  const auto& [other, code] = known->second;
  if (first || (*other == type && code == function)) return;
  throw UsageError("two things are called " + callable.shown +
                   ", in unnamed namespaces or as static functions of several files, and a checkpoint would take one for the other: give "
                   "one of them another name, or Flags::version");
}

}  // namespace rankview::controller

namespace rankview::controller {
namespace {

thread_local int depth = 0;

}  // namespace

void ContinuationQueue::take(detail::Call& call) {
  if (call.life().more->continuations.empty()) return;
  for (auto& continuation : call.life().more.edit().continuations) due_.push_back(std::move(continuation));
  call.life().more.edit().continuations.clear();
}

int ContinuationQueue::running_here() { return depth; }

void ContinuationQueue::run_next(Visit& visit) {
  std::shared_ptr<detail::Continuation> next = std::move(due_.front());
  due_.pop_front();
  ++running_;
  const bool wanted = !stopped_;
  visit.unlock();
  ++depth;
  if (wanted) next->run();
  next.reset();
  --depth;
  visit.lock();
  --running_;
}

std::deque<std::shared_ptr<detail::Continuation>> ContinuationQueue::drop() { return std::exchange(due_, {}); }

}  // namespace rankview::controller

#include <rankview/detail/caught.hpp>

// What clients ask of the controller. What follows from it is in round.cpp, what engines say in inbound.cpp, how it
// is called off in giving_up.cpp.
namespace rankview::inline abi_0_1::detail {
namespace {

// Whether there is anybody to run its items.
void check_placeable(const Call& call, const controller::Engines& engines) {
  if (call.nobody || (!in_pool(call) && !call.same_arguments && call.engines.empty())) throw_nobody();
  const std::uint16_t wanted = call.life().terms->slots;
  if (wanted == 1 || call.life().terms->isolation == Isolation::none) return;
  std::uint16_t most = 0;
  std::uint16_t least = wanted;
  const auto count = [&](int id) {
    most = std::max(most, engines[id].slots);
    least = std::min(least, engines[id].slots);
  };
  for (const int id : call.engines) count(id);
  if (call.engines.empty()) {
    for (int id = 0; id < engines.count(); ++id) count(id);
  }
  // In a pool one that is large enough will do.
  const std::uint16_t there = in_pool(call) ? most : least;
  if (there < wanted)
    throw UsageError("a task takes " + std::to_string(wanted) + " slots, and " +
                     (in_pool(call) ? "no engine that it may go to has more than " : "an engine that it is to run on has ") +
                     std::to_string(there) + "; engines get them by Options::slots or RANKVIEW_SLOTS");
}

// Before anything of the call is in flight, since its code may be such that cannot be shipped.
void find_code(Call& call) {
  call.life().code = &shipped_code(call.function.thunk, call.function.code, reinterpret_cast<const void*>(call.life().terms->predicate));
}

// A number for each thread that submits calls.
std::uint64_t this_submitter() {
  static std::atomic<std::uint64_t> threads{0};
  thread_local const std::uint64_t mine = threads.fetch_add(1, std::memory_order_relaxed);
  return mine;
}

}  // namespace

Controller::Controller(transport::Endpoint& endpoint, const ControllerSettings& settings)
    : settings_(settings),
      engines_(endpoint, settings.engines),
      gate_(this, calls_),
      ledger_(engines_, gate_, work_, settings.recorder),
      queue_(engines_),
      teams_(*settings.teams),
      dispatcher_(calls_, queue_, engines_, ledger_, work_, teams_, settings.forwarding),
      retries_(run_),
      keeper_(ledger_, work_, {*settings.disk, settings.driver.clock, settings.lease, [this] { attend_to_shares(); }}, settings.recorder),
      shares_(calls_),
      transfers_(endpoint, settings_.driver.clock, ledger_, work_, keeper_),
      stuck_teams_(calls_, settings.team_grace),
      driver_(*this, work_, settings.driver) {
  if (settings_.recorder != nullptr) settings_.recorder->run_begins(settings_.engines);
  if (settings_.signs != nullptr) settings_.signs->listen([this] { driver_.wake_progress_thread(); });
}

// ---- from the submission -----------------------------------------------------------------------------------------------------

void Controller::begin(const std::shared_ptr<Call>& call, std::optional<std::uint64_t> expected) {
  check_placeable(*call, engines_);
  find_code(*call);
  call->life().submitted = now();
  call->life().items.reserve(expected.value_or(0));
  const auto visit = driver_.visit();
  add(call);
}

void Controller::extend(Call& call, ArgumentBlock&& block, std::span<const checkpoint::Key> keys, bool drives) {
  const auto visit = driver_.visit();
  if (!keys.empty()) note_keys(call, keys);
  add(call, std::move(block));
  // Whoever reads a long range also keeps the engines busy.
  if (drives && driver_.may_drive()) round();
}

void Controller::share(const std::shared_ptr<checkpoint::Checkpoint>& checkpoint) {
  locked([this, &checkpoint] { shares_.add(checkpoint); });
}

void Controller::note_keys(Call& call, std::span<const checkpoint::Key> keys) {
  auto& known = call.life().more.edit().checkpointed.edit().keys;
  known.insert(known.end(), keys.begin(), keys.end());
}

// Rank 0 has what it takes to end them.
void Controller::recall(Call& call, Recalled&& found, bool drives) {
  const auto visit = driver_.visit();
  if (calls_.find(call.id) == nullptr) return;  // given up while it was being made
  std::vector<checkpoint::Key> keys;
  for (const Recalled::Part& part : found.parts) keys.push_back(part.key);
  note_keys(call, keys);
  ArgumentBlock block;
  block.count = keys.size();
  block.first = call.life().items.size();
  block.unfinished = block.count;
  const std::uint64_t first = block.first;
  const std::uint64_t total = first + block.count;
  call.life().blocks.push_back(std::move(block));
  call.life().items.resize(total);
  if (call.plain) call.grow(total, call.life().items.capacity());
  ledger_.granted(call, first, total, -1);
  keeper_.recall(call, first, std::move(found));
  if (drives && driver_.may_drive()) round();
}

void Controller::seal(Call& call, bool unattended) {
  // Results that are there before all items are known make room as they come; from here on the room stays where it is.
  if (!call.plain && call.multiple) make_room(call);
  {
    const auto visit = driver_.visit();
    call.life().has_handles = unattended;
    lay_out(call);
    advance();
    // The run may have ended meanwhile.
    if (!call.life().in_flight && !call.life().has_handles) work_.leave(calls_.drop(call));
  }
  if (unattended) driver_.wake_progress_thread();
}

void Controller::submit(const std::shared_ptr<Call>& call, ArgumentBlock&& block, bool unattended) {
  if (block.count != 0) check_placeable(*call, engines_);
  find_code(*call);
  call->life().submitted = now();
  if (!call->plain) {
    const std::uint64_t count = call->same_arguments ? call->engines.size() : block.count;
    call->grow(count, count);
  }
  {
    const auto visit = driver_.visit();
    add(call);
    call->life().has_handles = unattended;
    if (block.count != 0) add(*call, std::move(block));
    lay_out(*call);
    unattended&& driver_.may_drive() ? attend(call->life().submitted) : advance();
  }
  if (unattended) driver_.wake_progress_thread();
}

void Controller::add(const std::shared_ptr<Call>& call) {
  if (!run_.open()) throw UsageError("the run that this view belongs to has ended");
  auto waiting = gate_.look_up(*call);
  call->life().submitter = this_submitter();
  if (settings_.keeps_all && can_be_kept(*call) && !call->life().subtask) call->life().saves = true;
  calls_.enlist(call);
  if (call->life().terms->queue_timeout != 0) queue_.timers().add(call->life().submitted + call->life().terms->queue_timeout, call->id);
  if (waiting.waits()) gate_.hold(*call, std::move(waiting));
}

void Controller::add(Call& call, ArgumentBlock&& block) {
  if (calls_.find(call.id) == nullptr) return;  // given up while it was being made
  block.first = call.life().items.size();
  block.unfinished = block.count;
  call.life().blocks.push_back(std::move(block));
  if (call.same_arguments) return;  // lay_out() knows for whom
  const ArgumentBlock& added = call.life().blocks.back();
  const std::uint64_t total = added.first + added.count;
  call.life().items.resize(total);
  if (call.plain) call.grow(total, call.life().items.capacity());
  if (gives_back(call)) {
    give_back(call, total - added.count, total);
  } else if (controller::enqueued_as_they_come(call) && !call.life().waits) {
    if (call.life().checkpointed && shares_.splits(call)) {
      enqueue_ours(call, added.first, total);
    } else {
      enqueue(call, &added);
    }
  }
}

// Has room made for the results of all items, by whoever drives, behind the reading of those that have come.
void Controller::make_room(Call& call) {
  class MakingRoom final : public controller::UserWork::Piece {
   public:
    explicit MakingRoom(Call& full) : Piece(full.life().self), count_(full.life().items.size()) {}
    void run() noexcept override {
      try {
        call().grow(count_, count_);
      } catch (...) {
        error_ = with_text(caught());
      }
    }
    void finish() override {
      if (error_.error != nullptr) call().life().failure = keep(call(), std::move(error_));
    }

   private:
    std::uint64_t count_;
    ToldError error_;
  };
  {
    const auto visit = driver_.visit();
    if (!call.life().in_flight) return;
    work_.add(std::make_unique<MakingRoom>(call));
  }
  drive({}, [this, &call] { return !work_.busy(call); });
}

// All items are there. Those whose place depends on how many there are get it.
void Controller::lay_out(Call& call) {
  if (calls_.find(call.id) == nullptr) return;
  call.life().laid_out = true;
  const std::uint64_t engines = call.engines.size();
  if (call.same_arguments) {
    call.life().blocks.front().unfinished = engines;
    call.life().items.resize(engines);
    if (call.plain) call.grow(engines, engines);
  }
  if (settings_.recorder != nullptr) settings_.recorder->submitted(call);
  if (call.root->kind == RootPart::Kind::none || engines == 0) ledger_.seal(call);
  if (call.life().more->doomed) {
    ledger_.give_up(call, Status::failed, [&call](const TaskId&) { return call.life().more->doomed; });
  } else if (call.life().aborted) {
    withdraw(call, "aborted while it was submitted");
  } else if (gives_back(call)) {
    give_back(call);
  } else if (!call.life().waits && !controller::enqueued_as_they_come(call)) {
    // Some may have been found, or have waited for too long.
    call.life().checkpointed || call.life().ended != 0 ? enqueue_rest(call) : enqueue(call, nullptr);
  }
}

// All items of the call, or those of a block. What somebody can begin at once need not wait in a queue.
void Controller::enqueue(Call& call, const ArgumentBlock* block) {
  controller::Grants granted;
  controller::Grants* const at_once = run_.connected() && driver_.may_drive() ? &granted : nullptr;
  block == nullptr ? queue_.enqueue(call, at_once) : queue_.enqueue(call, *block, at_once);
  for (const scheduler::Grant& grant : granted) dispatcher_.grant(grant);
}

// ---- what is known -----------------------------------------------------------------------------------------------------------

std::optional<std::uint64_t> Controller::resting() const {
  return locked([this] { return open() && idle() ? std::optional(calls_.next_number()) : std::nullopt; });
}

std::uint64_t Controller::completed() const {
  return locked([this] {
    std::uint64_t all = 0;
    for (int id = 0; id < engines_.count(); ++id) all += engines_.account(id).completed;
    return all;
  });
}

QueueStatus Controller::queue_status(const std::vector<int>& engines) const {
  const auto visit = driver_.visit();
  const scheduler::Scheduler& scheduler = queue_.scheduler();
  QueueStatus status;
  status.unassigned = scheduler.waiting();
  calls_.for_each([&status](const Call& call) {
    if (call.life().waits) status.dependent += call.life().items.size();
  });
  for (int id = 0; id < engine_count(); ++id) status.unassigned -= scheduler.load(id).waiting;
  for (const int id : engines) {
    const scheduler::Load load = scheduler.load(id);
    const controller::Account& account = engines_.account(id);
    status.engines.push_back({id, load.waiting, load.handed_out, load.handed_out == 0 ? 0U : 1U, account.completed, account.failed,
                              static_cast<std::size_t>(account.memory.variables), static_cast<std::size_t>(account.memory.bytes)});
  }
  return status;
}

std::vector<int> Controller::live_engines() const {
  return locked([this] { return engines_.live(); });
}

std::vector<LostEngine> Controller::lost() const {
  return locked([this] { return engines_.losses().list(); });
}

bool Controller::lost(int engine) const {
  return engines_.losses().any() && locked([this, engine] { return engines_.lost(engine); });
}

std::exception_ptr Controller::lost_error(int engine) const {
  return locked([this, engine] { return engines_.losses().error(engine, {}, ""); });
}

void Controller::on_lost(std::function<void(const LostEngine&)> f) {
  auto listener = std::make_shared<const std::function<void(const LostEngine&)>>(std::move(f));
  const auto visit = driver_.visit();
  engines_.losses().on_lost(std::move(listener));
}

controller::TaskArchive& Controller::archive() {
  if (settings_.archive == nullptr) throw UsageError("there is no hub: name its file by Options::hub or RANKVIEW_HUB");
  const auto visit = driver_.visit();
  ledger_.flush_records();
  return *settings_.archive;
}

std::shared_ptr<Call> Controller::named(const Prerequisite& tasks) const {
  // Whoever names a result keeps it.
  if (tasks.call) return {std::shared_ptr<Call>(), &*tasks.call};
  const auto visit = driver_.visit();
  const TaskId& task = tasks.task;
  if (task.item == Prerequisite::every) throw UsageError("an AsyncResult is empty: it was default-constructed or moved from");
  if (task.call == 0 || task.call >= calls_.next_number()) throw UsageError("task " + to_string(task) + " was never submitted in this run");
  Call* const call = calls_.known(task.call);
  if (call == nullptr) return nullptr;
  if (call->life().laid_out && task.item >= call->life().items.size())
    throw UsageError("there is no task " + to_string(task) + ": that call has " + std::to_string(call->life().items.size()));
  return call->life().self;
}

// ---- the end of the run ------------------------------------------------------------------------------------------------------

void Controller::close(wire::Ending ending, int exit_code, const std::string& reason) {
  auto visit = driver_.visit();
  run_.begin_closing();
  for (const LostEngine& lost : engines_.losses().list()) {
    liveness::Sign sign;
    sign.seen = lost.seen;
    if (lost.aside) give_up(lost.engine, sign);
  }
  if (settings_.recorder != nullptr) settings_.recorder->run_ends(ending == wire::Ending::failed, reason);
  wire::End end;
  end.ending = ending;
  end.exit_code = exit_code;
  end.reason = reason;
  end.losses = engines_.losses().deaths();
  for (int id = 0; id < engine_count(); ++id) {
    wire::write(engines_.to(id), end);
    engines_.send(id);
  }
  visit.unlock();
  Deadline limit;
  // Engines enforce the grace period themselves where they have a progress thread; they get a little longer to do so.
  if (ending == wire::Ending::failed) limit = settings_.driver.clock.steady_now() + settings_.grace + std::chrono::seconds(1);
  const bool ended = drive(
      limit,
      [this] {
        return engines_.all_left() && transfers_.empty() && keeper_.empty() && !work_.busy() && teams_.idle() &&
               engines_.endpoint().flushed() && !work_.continuations().busy();
      },
      true);
  if (!ended) transport::end_process(exit_code, "the client failed, and not every engine stopped within the grace period: " + reason);
  visit.lock();
  run_.close();
  if (settings_.signs != nullptr) settings_.signs->listen_no_more();
  // What engines were told to drop; other threads of the client may wait for it.
  for (const auto& unended : calls_.unfinished()) {
    Call& call = *unended;
    if (call.life().errors->empty()) call.life().error_seen = true;
    for (std::uint64_t item = 0; item < call.life().items.size(); ++item) {
      if (!has_ended(call.life().items[item].status))
        ledger_.ended(call, item, Status::aborted, task_aborted({call.id, item}, "the run ended"));
    }
    ledger_.seal(call);
  }
  carry_out();
  // Nobody runs these any more.
  const auto dropped = work_.continuations().drop();
  visit.unlock();
  driver_.stop_progress_thread();
  keeper_.checkpoints().flush();
  keeper_.checkpoints().leave();
}

}  // namespace rankview::detail

namespace rankview::inline abi_0_1 {

void Dependency::add(const Dependency& more) { tasks_.insert(tasks_.end(), more.tasks_.begin(), more.tasks_.end()); }

}  // namespace rankview

namespace rankview::controller {

using Need = scheduler::Dependencies::Need;
using detail::Call;
using detail::CallSlot;
using detail::has_ended;
using detail::ItemRecord;
using detail::Prerequisite;

Call& DependencyGate::resolve(const Prerequisite& prerequisite) const {
  const TaskId& task = prerequisite.task;
  Call* const call = prerequisite.call ? &*prerequisite.call : calls_.known(task.call);
  if (call == nullptr)
    throw InvalidDependency("a dependency on task " + to_string(task) +
                            ", which is not known: no such task was submitted in this run, or it has ended and nobody keeps its result");
  if (call->controller.get() != run_) throw InvalidDependency("a dependency on a result of another run");
  if (!call->life().laid_out)
    throw InvalidDependency("a dependency on call " + std::to_string(call->id) + ", which is still being submitted");
  if (task.item != Prerequisite::every && task.item >= call->life().items.size())
    throw InvalidDependency("a dependency on task " + to_string(task) + ": that call has " + std::to_string(call->life().items.size()) +
                            " tasks");
  return *call;
}

// Adds what the dependency names: what has ended counts, the rest is expected.
void DependencyGate::count(const Dependency& dependency, Waiting& waiting, Need need) const {
  if (!dependency.empty() && !dependency.success && !dependency.failure)
    throw UsageError("a dependency for which neither success nor failure counts can never be met");
  const auto count_item = [&](Call& call, std::uint64_t item) {
    const ItemRecord& record = call.life().items[item];
    const bool ended = has_ended(record.status) && call.life().sealed;
    const bool well = record.status == Status::completed;
    if (need == Need::follow) {
      waiting.needs.follow->expect(1);
      if (ended) waiting.needs.follow->ended(record.engine, well);
    } else {
      scheduler::After& after = need == Need::after ? waiting.needs.after : waiting.needs.arguments;
      after.expect(1);
      if (ended) after.ended(well);
    }
    if (ended && !(well ? dependency.success : dependency.failure)) waiting.bad = {call.id, item};
    return ended;
  };
  for (const Prerequisite& prerequisite : dependency.tasks()) {
    const CallSlot* const slot = prerequisite.call.slot();
    if (slot != nullptr && slot->run == calls_.run() && slot->well && prerequisite.task.item == Prerequisite::every &&
        need != Need::follow && !dependency.failure) {
      scheduler::After& after = need == Need::after ? waiting.needs.after : waiting.needs.arguments;
      after.expect(1);
      after.ended(true);
      continue;
    }
    Call& call = resolve(prerequisite);
    // Somebody cares how it fails.
    if (dependency.failure) call.life().error_seen = true;
    const std::uint64_t item = prerequisite.task.item;
    if (item != Prerequisite::every) {
      if (!count_item(call, item)) waiting.open.push_back({&call, item, need});
      continue;
    }
    std::uint64_t ended = 0;
    for (std::uint64_t i = 0; i < call.life().items.size(); ++i) ended += count_item(call, i) ? 1 : 0;
    if (ended != call.life().items.size()) waiting.open.push_back({&call, scheduler::Dependencies::every, need});
  }
}

DependencyGate::Waiting DependencyGate::look_up(Call& call) const {
  const Dependency* const after = std::exchange(call.after, nullptr);
  const Dependency* const follow = std::exchange(call.follow, nullptr);
  Waiting waiting;
  if (after != nullptr && !after->empty()) {
    waiting.needs.after = scheduler::After({after->all, after->success, after->failure});
    count(*after, waiting, Need::after);
  }
  if (!call.life().more->deferred.arguments.empty()) {
    waiting.takes_arguments = true;
    count(call.life().more->deferred.arguments, waiting, Need::argument);
  }
  if (follow != nullptr && !follow->empty()) {
    waiting.needs.follow.emplace(scheduler::Rule{follow->all, follow->success, follow->failure}, call.engines);
    count(*follow, waiting, Need::follow);
  }
  return waiting;
}

void DependencyGate::hold(Call& call, Waiting&& waiting) {
  call.life().waits = true;
  call.life().node = dependencies_.add(call.id);
  dependencies_.wait(call.life().node, std::move(waiting.needs));
  for (const Waiting::On& on : waiting.open) {
    if (on.call->life().node == scheduler::Dependencies::none) on.call->life().node = dependencies_.add(on.call->id);
    dependencies_.depend(call.life().node, on.call->life().node, on.item, on.need);
  }
  dependencies_.settle(call.life().node, waiting.bad.call, waiting.bad.item);
}

void DependencyGate::ended(const Call& call, std::uint64_t item) {
  if (call.life().node == scheduler::Dependencies::none) return;
  const ItemRecord& record = call.life().items[item];
  dependencies_.ended(call.life().node, item, record.engine, record.status == Status::completed);
}

void DependencyGate::forget(Call& call) {
  if (call.life().node != scheduler::Dependencies::none)
    dependencies_.remove(std::exchange(call.life().node, scheduler::Dependencies::none));
}

DependencyGate::Decision DependencyGate::next() {
  auto decision = dependencies_.next();
  Call* const call = decision ? calls_.find(decision->call) : nullptr;
  if (call == nullptr || !std::exchange(call->life().waits, false)) return {};
  return {call, decision->verdict == scheduler::Verdict::met, std::move(decision->engines), {decision->cause_call, decision->cause_item}};
}

std::function<std::exception_ptr(const TaskId&)> DependencyGate::impossible(const TaskId& cause) const {
  Call* const failed_call = calls_.known(cause.call);
  std::string why;
  std::string reason = "a task that it depends on failed:";
  std::shared_ptr<const ImpossibleDependency::Link> next;
  if (failed_call != nullptr) {
    if (const auto error = failed_call->life().errors->find(cause.item); error != failed_call->life().errors->end()) {
      failed_call->life().error_seen = true;
      try {
        std::rethrow_exception(error->second);
      } catch (const ImpossibleDependency& impossible) {
        next = impossible.because();
      } catch (...) {
        // What it says is told below.
      }
      if (next == nullptr) why = detail::text_of(*failed_call, error->second);
    } else if (cause.item < failed_call->life().items.size() && failed_call->life().items[cause.item].status == Status::completed) {
      reason = "it depends on a failure, or on tasks that all run where it may, and this one went well on engine " +
               std::to_string(failed_call->life().items[cause.item].engine) + ":";
    }
  }
  auto because = std::make_shared<const ImpossibleDependency::Link>(cause, std::move(next), std::move(why));
  return [because = std::move(because), reason = std::move(reason)](const TaskId& task) {
    return std::make_exception_ptr(ImpossibleDependency(task, because, reason));
  };
}

}  // namespace rankview::controller

// What the controller says when somebody wants to know what it waits for.
namespace rankview::inline abi_0_1::detail {
namespace {

// So many calls, and engines of each, are told one by one.
constexpr std::size_t most_calls = 20;
constexpr std::size_t most_engines = 8;

std::string line_of(const Call& call, std::int64_t now) {
  const CallLife& life = call.life();
  std::uint64_t waiting = 0;
  std::uint64_t ended = 0;
  std::map<int, std::uint64_t> handed_out;
  for (const ItemRecord& item : life.items) {
    waiting += item.status == Status::waiting ? 1 : 0;
    ended += has_ended(item.status) ? 1 : 0;
    if (item.status == Status::handed_out) ++handed_out[item.engine];
  }
  std::string line = "  call " + std::to_string(call.id);
  if (!life.more->label.empty()) line += " \"" + life.more->label + "\"";
  line += ", made " + in_seconds(now - life.submitted) + " ago: of " + std::to_string(life.items.size()) + " tasks " +
          std::to_string(ended) + " have ended";
  if (waiting != 0) line += ", " + std::to_string(waiting) + (life.waits ? " wait for other tasks" : " wait for an engine");
  std::size_t told = 0;
  for (const auto& [engine, count] : handed_out) {
    if (told++ == most_engines) {
      line += ", and others have more";
      break;
    }
    line += (engine < 0 ? ", rank 0 runs " : ", engine " + std::to_string(engine) + " has ") + std::to_string(count);
  }
  if (!life.laid_out) line += ", more are being submitted";
  if (life.team != 0 && !life.sealed) line += ", rank 0's own part in it is not over";
  return line + "\n";
}

}  // namespace

std::string Controller::describe() {
  std::string text;
  const bool could = driver_.try_locked(std::chrono::milliseconds(500), [&] {
    const auto calls = calls_.unfinished();
    text = calls.empty() ? "nothing is under way\n" : std::to_string(calls.size()) + " calls are under way\n";
    for (std::size_t i = 0; i < calls.size() && i < most_calls; ++i) text += line_of(*calls[i], now());
    if (calls.size() > most_calls) text += "  and " + std::to_string(calls.size() - most_calls) + " more\n";
    if (const std::size_t withheld = shares_.waiting(); withheld != 0)
      text += "  " + std::to_string(withheld) + " tasks may be done by other jobs that use their checkpoint\n";
    if (work_.busy()) text += "  code of the program's reads, encodes or folds values\n";
    if (work_.continuations().busy()) text += "  continuations run, or are to run\n";
  });
  return could ? text : "whoever drives has not let go of it for half a second\n";
}

}  // namespace rankview::detail

#include <cmath>

namespace rankview::controller {

using detail::ArgumentBlock;
using detail::Call;
using detail::has_ended;
using detail::Origin;
using detail::Prerequisite;
using detail::RootPart;
using detail::Spread;

namespace {

// What an attempt may use that is the so-manieth.
std::uint64_t memory_of_attempt(const detail::Terms& terms, unsigned attempt) {
  const double limit = static_cast<double>(terms.memory_limit) * std::pow(terms.memory_growth, attempt == 0 ? 0 : attempt - 1);
  return limit < 1e18 ? static_cast<std::uint64_t>(limit) : 0;
}

}  // namespace

Dispatcher::Dispatcher(const CallRegistry& calls, TaskQueue& queue, Engines& engines, ItemLedger& ledger, UserWork& work, Teams& teams,
                       Forwarding forwarding)
    : calls_(calls),
      queue_(queue),
      engines_(engines),
      ledger_(ledger),
      work_(work),
      teams_(teams),
      forwarding_(forwarding),
      next_ticket_(std::uint64_t{calls.run()} << 48U) {}

void Dispatcher::dispatch() {
  scheduler::Grant next;
  while (queue_.scheduler().next(next)) grant(next);
}

// The call's team, with what rank 0 does in it.
void Dispatcher::enter_team(Call& call) {
  call.life().team = teams_.enter(call.engines, engines_);
  if (call.root->kind != RootPart::Kind::none) teams_.begin(call.life().team, call.life().self);
}

// The same for a call whose items go to one of several teams each; their first engines are granted first.
void Dispatcher::enter_team(Call& call, const scheduler::Grant& grant) {
  const auto team = std::find_if(call.life().more->teams.begin(), call.life().more->teams.end(),
                                 [&](const std::vector<int>& engines) { return engines.front() == grant.engine; });
  if (team == call.life().more->teams.end()) return;
  for (std::uint64_t item = grant.begin; item < grant.end; ++item) call.life().more.edit().team_items.edit()[item].pending = team->size();
  if (call.life().more->team_numbers->contains(grant.engine)) return;
  const std::uint64_t number = teams_.enter(*team, engines_);
  for (const int engine : *team) call.life().more.edit().team_numbers.edit()[engine] = number;
}

// How a task on an engine is to come by a result that is its argument.
Origin::Kind Dispatcher::origin(const Call& result, int to) const {
  if (result.life().cached_on < 0) return Origin::Kind::value;
  if (result.life().cached_on == to) return Origin::Kind::kept;
  const std::uint64_t from = engines_[result.life().cached_on].machine;
  const bool nearer = from != forwarding_.machine && from == engines_[to].machine;
  const bool forward = forwarding_.when == ForwardResults::always || (forwarding_.when == ForwardResults::when_nearer && nearer);
  return forward ? Origin::Kind::delivered : Origin::Kind::value;
}

// Where the results come from that are arguments of one task, as the engine is told that runs it.
class Dispatcher::ArgumentOrigins final : public detail::Origins {
 public:
  ArgumentOrigins(const Dispatcher& dispatcher, const Call& call, int to) : to_(to), next_ticket_(dispatcher.next_ticket_) {
    for (const Prerequisite& result : call.life().more->deferred.arguments.tasks())
      results_.push_back({&*result.call, dispatcher.origin(*result.call, to), result.call->life().cached_on});
  }

  // So many tickets it may use.
  [[nodiscard]] std::uint64_t tickets() const {
    return static_cast<std::uint64_t>(
        std::count_if(results_.begin(), results_.end(), [](const Result& result) { return result.kind == Origin::Kind::delivered; }));
  }

  // Once for each argument that is a result.
  Origin of(const Call& call) override {
    const auto result = std::find_if(results_.begin(), results_.end(), [&call](const Result& each) { return each.call == &call; });
    if (result->kind != Origin::Kind::delivered) return {result->kind, call.id};
    forwarded.push_back({result->cached_on, {call.id, next_ticket_++, static_cast<std::uint64_t>(to_)}});
    return {Origin::Kind::delivered, forwarded.back().second.ticket};
  }

  std::vector<std::pair<int, wire::Forward>> forwarded;  // what engines are to deliver, and which

 private:
  struct Result {
    const Call* call;
    Origin::Kind kind;
    int cached_on;
  };

  std::vector<Result> results_;
  int to_;
  std::uint64_t next_ticket_;
};

// Encodes the arguments of a task that has been granted to an engine, and then sends them there.
class Dispatcher::Encoding final : public UserWork::Piece {
 public:
  Encoding(Dispatcher& dispatcher, Call& call, const scheduler::Grant& grant, bool by_value)
      : Piece(call.life().self),
        dispatcher_(dispatcher),
        grant_(grant),
        encode_(call.life().more->deferred.encode),
        origins_(dispatcher, call, grant.engine),
        by_value_(by_value) {
    first_ticket_ = dispatcher_.next_ticket_;
    dispatcher_.next_ticket_ += origins_.tickets();
    fresh_.count = call.life().blocks.front().count;
    fresh_.unfinished = call.life().blocks.front().unfinished;
  }

  void run() noexcept override {
    try {
      encode_(fresh_, &origins_);
    } catch (...) {
      error_ = detail::with_text(detail::caught());
    }
  }
  void finish() override {
    detail::CallLife& life = call().life();
    const bool ended_early = has_ended(life.items[grant_.begin].status);
    const bool gone = !dispatcher_.engines_.live(grant_.engine);
    if (gone && !ended_early && error_.error == nullptr) {
      dispatcher_.orphans_.push_back({grant_.call, grant_.begin});
      return;
    }
    // It may have been given up meanwhile.
    if (error_.error != nullptr || ended_early) {
      if (!gone) dispatcher_.queue_.scheduler().finished(grant_.engine, grant_.call, grant_.begin, grant_.end, 0);
      std::exception_ptr error = detail::keep(call(), std::move(error_));
      dispatcher_.ledger_.give_up(call(), Status::failed, [&error](const TaskId&) { return error; });
      return;
    }
    std::swap(life.blocks.front(), fresh_);
    detail::Deferred& deferred = life.more.edit().deferred;
    deferred.by_value = by_value_;
    deferred.first_ticket = first_ticket_;
    deferred.holders.clear();
    for (const auto& [holder, forward] : origins_.forwarded) {
      deferred.holders.push_back(holder);
      wire::write(dispatcher_.engines_.to(holder), forward);
    }
    dispatcher_.hand_out(call(), grant_);
  }

 private:
  Dispatcher& dispatcher_;
  scheduler::Grant grant_;
  detail::EncodeArguments encode_;
  ArgumentOrigins origins_;
  bool by_value_;
  std::uint64_t first_ticket_ = 0;
  ArgumentBlock fresh_;
  detail::ToldError error_;
};

void Dispatcher::grant(const scheduler::Grant& grant) {
  Call& call = *calls_.find(grant.call);
  if (!encode_for(call, grant)) hand_out(call, grant);
}

// Encodes arguments that are results anew if the engine may have some of them, or another might have had. If so, that hands the task out.
bool Dispatcher::encode_for(Call& call, const scheduler::Grant& grant) {
  const detail::Deferred& deferred = call.life().more->deferred;
  // What several engines run, all begin with the same, or some would wait for others.
  if (!deferred.encode || call.life().terms->isolation != Isolation::none || call.life().items.size() != 1 ||
      call.spread == Spread::together || call.spread == Spread::teams)
    return false;
  const auto& results = deferred.arguments.tasks();
  const bool by_value = std::all_of(results.begin(), results.end(),
                                    [&](const Prerequisite& result) { return origin(*result.call, grant.engine) == Origin::Kind::value; });
  if (by_value && deferred.by_value) return false;
  auto encoding = std::make_unique<Encoding>(*this, call, grant, by_value);
  if (deferred.plain) {
    encoding->run();
    encoding->finish();
    work_.leave(std::shared_ptr<const UserWork::Piece>(std::move(encoding)));
  } else {
    work_.add(std::move(encoding));
  }
  return true;
}

void Dispatcher::hand_out(Call& call, const scheduler::Grant& grant) {
  if (call.spread == Spread::together && call.life().team == 0) enter_team(call);
  if (call.spread == Spread::teams) enter_team(call, grant);
  ledger_.granted(call, grant.begin, grant.end, grant.engine);
  if (call.function.thunk->load != nullptr) write_object(call, grant.engine);
  if (call.same_arguments) {
    write_batch(call, call.life().blocks.front(), grant.engine, grant.slow, grant.begin, grant.end);
    return;
  }
  // One batch for each block that the grant touches.
  auto block = block_of(call, grant.begin);
  for (std::uint64_t item = grant.begin; item < grant.end; ++block) {
    const std::uint64_t end = std::min(grant.end, block->first + block->count);
    write_batch(call, *block, grant.engine, grant.slow, item, end);
    item = end;
  }
}

// The state of a callable, once for each engine.
void Dispatcher::write_object(Call& call, int engine) {
  const std::vector<int>& holders = call.life().more->object_holders;
  if (std::find(holders.begin(), holders.end(), engine) != holders.end()) return;
  wire::CallableState object;
  object.call = call.id;
  object.state = call.function.object->bytes.bytes();
  wire::write(engines_.to(engine), object);
  call.life().more.edit().object_holders.push_back(engine);
}

void Dispatcher::write_batch(const Call& call, const ArgumentBlock& block, int engine, bool slow, std::uint64_t begin, std::uint64_t end) {
  wire::Batch batch;
  batch.thunk = call.life().code->thunk;
  batch.function = call.life().code->function;
  batch.call = call.id;
  batch.has_object = call.function.thunk->load != nullptr;
  batch.first = begin;
  batch.count = end - begin;
  batch.stride = block.stride;
  batch.team = call.spread != Spread::teams ? call.life().team : call.life().more->team_numbers->at(engine);
  batch.communicator = call.communicator;
  batch.first_only = call.spread == Spread::teams;
  batch.predicate = call.life().code->predicate;
  const detail::Terms& terms = *call.life().terms;
  batch.timeout = terms.timeout;
  batch.isolated = terms.isolation != Isolation::none;
  batch.forked = terms.isolation == Isolation::fork;
  if (terms.memory_limit != 0) batch.memory_limit = memory_of_attempt(terms, call.life().items[begin].attempts);
  batch.flat = call.life().subtask;
  batch.slow = slow;
  batch.keep = call.keeps && !batch.isolated;
  batch.first_ticket = call.life().more->deferred.first_ticket;
  batch.holders = call.life().more->deferred.holders;
  batch.awaits = !batch.holders.empty();
  batch.movable = in_pool(call) && call.spread != Spread::teams && !batch.awaits;
  if (call.root->kind != RootPart::Kind::none && call.root->votes) batch.votes = call.root->rounds;
  batch.items = call.same_arguments ? block.items(0, 1) : block.items(begin, end);
  // What has attachments travels alone, so that they are known to belong to it.
  const bool attached = !block.data.attachments.empty();
  if (attached) engines_.send(engine);
  transport::Message& message = engines_.to(engine);
  wire::write(message, batch);
  if (!attached) return;
  message.attachments = block.data.attachments;
  message.kept = block.data.kept;
  engines_.send(engine);
}

int Dispatcher::engine_with_arguments(const Call& call) const {
  const scheduler::Scheduler& scheduler = queue_.scheduler();
  if (!in_pool(call) || call.spread == Spread::teams || scheduler.waiting() != 0) return -1;
  for (const Prerequisite& result : call.life().more->deferred.arguments.tasks()) {
    const int engine = result.call->life().cached_on;
    if (engine < 0) continue;
    const bool allowed = call.engines.empty() || std::find(call.engines.begin(), call.engines.end(), engine) != call.engines.end();
    const scheduler::Load load = scheduler.load(engine);
    if (allowed && load.handed_out == 0 && load.waiting == 0) return engine;
  }
  return -1;
}

void Dispatcher::stop(const Call& call, std::uint64_t begin, std::uint64_t limit) {
  const auto tell = [&](int engine, std::uint64_t first, std::uint64_t count) {
    const auto team = std::find_if(call.life().more->teams.begin(), call.life().more->teams.end(),
                                   [engine](const auto& t) { return t.front() == engine; });
    if (team == call.life().more->teams.end()) {
      wire::write(engines_.to(engine), wire::Stop{call.id, first, count});
    } else {
      for (const int member : *team) wire::write(engines_.to(member), wire::Stop{call.id, first, count});
    }
  };
  // In ranges of neighbours that one engine has.
  for (std::uint64_t item = begin; item < limit;) {
    const detail::ItemRecord& record = call.life().items[item];
    std::uint64_t end = item + 1;
    if (record.status == Status::handed_out && record.engine >= 0) {
      while (end < limit && call.life().items[end].status == Status::handed_out && call.life().items[end].engine == record.engine) ++end;
      tell(record.engine, item, end - item);
    }
    item = end;
  }
}

}  // namespace rankview::controller

// A run that ends before its work does: what has not begun is given back to the client, and is a later run's.
namespace rankview::inline abi_0_1::detail {

void Controller::drain(std::string why, bool sends) {
  {
    const auto visit = driver_.visit();
    if (!run_.begin_draining(std::move(why))) return;
    for (const auto& call : calls_.unfinished()) {
      if (gives_back(*call)) give_back(*call);
    }
    // What engines have and have not begun; they say what that is.
    for (const scheduler::Recall& recall : queue_.scheduler().recall_all()) ask_back(recall);
    sends ? advance() : carry_out();
  }
  driver_.wake_progress_thread();
}

// What still runs is told to stop. What ends by itself all the same has a result.
void Controller::hurry() {
  {
    const auto visit = driver_.visit();
    for (const auto& call : calls_.unfinished()) {
      if (in_pool(*call)) dispatcher_.stop(*call, 0, call->life().items.size());
    }
  }
  driver_.wake_progress_thread();
}

// Whether the call's tasks are not to be handed out, if they have not been: those of the client that any engine may run. Tasks that run may
// need their subtasks to end.
bool Controller::gives_back(const Call& call) const { return run_.draining() && in_pool(call) && !call.life().subtask; }

// Ends what waits of the call.
void Controller::give_back(Call& call) {
  const std::exception_ptr error = draining_error("the task was not run");
  withdraw(call, Status::aborted, [&](const TaskId&) -> const std::exception_ptr& {
    note_given_back(call);
    return error;
  });
}

// Of a call that is being made, items that were not enqueued.
void Controller::give_back(Call& call, std::uint64_t begin, std::uint64_t end) {
  const std::exception_ptr error = draining_error("the task was not run");
  for (std::uint64_t item = begin; item < end; ++item) {
    note_given_back(call);
    ledger_.ended(call, item, Status::aborted, error);
  }
}

// The same for an item that was handed out.
void Controller::give_back(Call& call, std::uint64_t item, const char* what) {
  note_given_back(call);
  ledger_.ended(call, item, Status::aborted, draining_error(what));
}

void Controller::note_given_back(Call& call) {
  ++call.life().more.edit().given_back;
  run_.note_given_back();
  // The run as a whole says so.
  call.life().error_seen = true;
}

std::exception_ptr Controller::draining_error(const char* what) const {
  return std::make_exception_ptr(Draining("the run drains (" + run_.why_draining() + "), and " + what));
}

std::uint64_t Controller::given_back() const {
  return locked([this] { return run_.given_back(); });
}

std::string Controller::why_draining() const {
  return locked([this] { return run_.why_draining(); });
}

void drain(Controller& controller) { controller.drain("Client::drain()", true); }

bool draining(const Controller& controller) { return controller.draining(); }

}  // namespace rankview::detail

namespace rankview::controller {
namespace {

// What state_ says.
constexpr int parked = 0;
constexpr int awake = 1;
constexpr int quitting = 2;

// So many rounds are made of a flood before others get the lock.
constexpr int flood = 1000;

}  // namespace

Driver::Driver(Round& round, UserWork& work, const Settings& settings)
    : round_(round), work_(work), settings_(settings), spin_(settings.idle) {
  if (settings_.progress_thread) thread_ = transport::Thread(settings_.clock, [this] { run_progress_thread(); });
}

Driver::~Driver() { stop_progress_thread(); }

void Driver::stop_progress_thread() {
  state_ = quitting;
  state_.notify_all();
  // A continuation that it runs may leave the program.
  if (thread_.joinable() && !thread_.is_this()) thread_.join();
}

bool Driver::may_drive() const { return settings_.any_thread_drives || transport::is_main_thread(); }

void Driver::try_progress() {
  if (!may_drive()) return;
  // Whoever calls this again and again would nearly always have the lock.
  lock_.give_way();
  Visit visit(lock_, work_, std::try_to_lock);
  if (!visit) return;
  catch_up(flood);
  while (run_user_code(visit, ContinuationQueue::running_here() == 0)) continue;
}

// Runs a piece of work, or a continuation. Whether there was any.
bool Driver::run_user_code(Visit& visit, bool continues) {
  if (!work_.empty()) {
    visit.run_next_piece();
    round_.advance();
  } else if (continues && !work_.continuations().empty()) {
    work_.continuations().run_next(visit);
  } else {
    return false;
  }
  return true;
}

bool Driver::catch_up(int most_rounds) {
  int rounds = 0;
  while (rounds < most_rounds && round_.round()) ++rounds;
  return rounds > 0;
}

bool Driver::reachable(std::chrono::milliseconds time) {
  return try_locked(time, [] {});
}

bool Driver::holds_back(std::int64_t submitted, bool somebody_could_begin) {
  constexpr std::int64_t burst = 10'000;  // nanoseconds between two calls
  constexpr unsigned together = 8;
  const bool in_burst = submitted - std::exchange(last_submission_, submitted) < burst;
  if (settings_.progress_thread && in_burst && !somebody_could_begin && ++held_back_ < together) return true;
  held_back_ = 0;
  return false;
}

// ---- the progress thread -----------------------------------------------------------------------------------------------------

void Driver::wake_progress_thread() {
  if (!settings_.progress_thread) return;
  int expected = parked;
  if (state_.compare_exchange_strong(expected, awake)) state_.notify_one();
}

// Drives when nobody else does. Sleeps first, so that a client that waits for its result has the machine to itself; parks when there is
// nothing to wait for.
void Driver::run_progress_thread() {
  constexpr auto shortest = std::chrono::microseconds(50);
  constexpr auto attended = std::chrono::microseconds(200);
  constexpr auto longest = std::chrono::microseconds(1000);
  auto pause = shortest;
  int idle_rounds = 0;
  for (;;) {
    settings_.clock.wait(state_, parked);
    if (state_.load() == quitting) return;
    settings_.clock.sleep(pause);
    if (drivers_.load(std::memory_order_relaxed) > 0) {
      pause = longest;
      continue;
    }
    if (attended_.exchange(false, std::memory_order_relaxed)) {
      pause = attended;
      continue;
    }
    Visit visit(lock_, work_, std::try_to_lock);
    if (!visit) continue;
    bool any = false;
    try {
      any = catch_up(flood);
    } catch (const std::exception& error) {
      transport::end_process(1, std::string("the controller cannot go on: ") + wire::error_text(error));
    }
    while (run_user_code(visit, true)) any = true;
    const bool nothing = round_.idle();
    visit.unlock();
    pause = any ? shortest : std::min(longest, pause * 2);
    idle_rounds = nothing ? idle_rounds + 1 : 0;
    if (idle_rounds < 20) continue;
    idle_rounds = 0;
    int expected = awake;
    state_.compare_exchange_strong(expected, parked);
    // Something may have been submitted in between, when there was no need to wake.
    visit.lock();
    if (!round_.idle()) wake_progress_thread();
  }
}

}  // namespace rankview::controller

namespace rankview::controller {

Engines::Engines(transport::Endpoint& endpoint, std::vector<EngineInfo> roster) : endpoint_(endpoint), all_(roster.size()) {
  for (std::size_t i = 0; i < roster.size(); ++i) {
    const auto peer = static_cast<std::size_t>(roster[i].peer);
    if (by_peer_.size() <= peer) by_peer_.resize(peer + 1, -1);
    by_peer_[peer] = static_cast<int>(i);
    all_[i].info = std::move(roster[i]);
  }
}

int Engines::by_peer(int peer) const {
  const auto index = static_cast<std::size_t>(peer);
  if (peer < 0 || index >= by_peer_.size() || by_peer_[index] < 0)
    throw DecodeError("a message from rank " + std::to_string(peer) + ", which is no engine of this run");
  return by_peer_[index];
}

bool Engines::lose(int engine) {
  Engine& gone = at(engine);
  if (std::exchange(gone.state, State::lost) == State::lost) return false;
  gone.outgoing.reset();
  if (!std::exchange(gone.left, true)) ++left_;
  return true;
}

std::vector<int> Engines::live() const {
  std::vector<int> ids;
  for (int id = 0; id < count(); ++id) {
    if (live(id)) ids.push_back(id);
  }
  return ids;
}

transport::Message& Engines::to(int engine) {
  if (lost(engine)) {
    nowhere_ = transport::Message();
    return nowhere_;
  }
  auto& message = at(engine).outgoing;
  if (!message) {
    message = endpoint_.message();
    to_send_.push_back(engine);
  }
  return *message;
}

void Engines::send(int engine) {
  auto& message = at(engine).outgoing;
  if (!message) return;
  endpoint_.send(at(engine).info.peer, std::move(*message));
  message.reset();
}

void Engines::left(int engine) {
  if (std::exchange(at(engine).left, true)) throw DecodeError("engine " + std::to_string(engine) + " said goodbye twice");
  ++left_;
}

}  // namespace rankview::controller

#include <rankview/detail/imap_window.hpp>
#include <rankview/detail/results.hpp>

namespace rankview::inline abi_0_1::detail {

TaskSource::~TaskSource() = default;

ImapWindow::ImapWindow(std::unique_ptr<TaskSource> source, std::uint64_t most, bool in_order)
    : source_(std::move(source)), most_(most), in_order_(in_order) {
  if (most_ == 0) throw UsageError("imap with max_outstanding of 0: no task could ever begin");
  if (!in_order_) feed_ = std::make_shared<CompletionFeed>();
}

ImapWindow::~ImapWindow() {
  for (const auto& [index, call] : pending_) {
    try {
      abort(*call);
    } catch (...) {
      // The message could not be sent, which whoever drives will find out, too.
    }
  }
}

void ImapWindow::start() {
  if (!std::exchange(started_, true)) fill();
}

void ImapWindow::advance() {
  if (pending_.empty()) {
    input_error_ = nullptr;
    return;
  }
  settle();
  pending_.erase(std::exchange(place_, pending_.end()));
  fill();
}

// Reading may take its time, so what is there goes first.
void ImapWindow::fill() {
  while (source_ != nullptr && pending_.size() < most_ && !arrived()) read();
}

void ImapWindow::read() {
  try {
    if (auto call = source_->next(feed_, read_)) {
      pending_.emplace(read_++, CallHandle(call));
      return;
    }
  } catch (...) {
    input_error_ = caught();
  }
  source_.reset();
}

// Whether the result for the place is there. Looks for it.
bool ImapWindow::arrived() {
  if (pending_.empty()) return false;
  Call& first = *pending_.begin()->second;
  if (in_order_) return poll(first);
  spin(*first.controller);
  return first.controller->locked([this] { return !feed_->ended.empty(); });
}

Call& ImapWindow::settle() {
  if (pending_.empty()) {
    if (input_error_) std::rethrow_exception(input_error_);
    throw UsageError("imap: there is nothing at the end of the range");
  }
  if (place_ == pending_.end()) {
    if (in_order_) {
      place_ = pending_.begin();
    } else {
      place_ = pending_.find(*next_ended(*pending_.begin()->second, *feed_, 0));
    }
  }
  wait(*place_->second, {});
  return *place_->second;
}

std::uint64_t ImapWindow::index() {
  settle();
  return place_->first;
}

}  // namespace rankview::detail

// Clients call off what they have asked for: what waits ends at once, and engines are told of the rest.
namespace rankview::inline abi_0_1::detail {

void Controller::cancel(Call& call) {
  const auto visit = driver_.visit();
  call.life().error_seen = true;
  call.life().abandoned = true;
  ledger_.seal(call);
  withdraw(call, "the range of its map threw");
  advance();
  // The run may have ended before.
  if (!call.life().in_flight) work_.leave(calls_.drop(call));
}

void Controller::abort(Call& call) {
  const auto visit = driver_.visit();
  mark_aborted(call);
  advance();
}

// Gives up what waits of a call, tells engines of the rest, and likewise with the subtasks that its tasks have submitted, and theirs.
void Controller::mark_aborted(Call& call) {
  std::vector<Call*> given_up{&call};
  while (!given_up.empty()) {
    Call& next = *given_up.back();
    given_up.pop_back();
    next.life().aborted = true;
    withdraw(next, "aborted while it waited");
    dispatcher_.stop(next, 0, next.life().items.size());
    for (const auto& [item, number] : *next.life().more->subtasks) {
      if (Call* const subtask = calls_.find(number)) given_up.push_back(subtask);
    }
  }
}

void Controller::abort(Call& call, std::uint64_t item) {
  const auto visit = driver_.visit();
  if (item >= call.life().items.size() || has_ended(call.life().items[item].status)) return;
  if (call.life().items.size() == 1 || call.spread == Spread::together || call.spread == Spread::rank_0) {
    mark_aborted(call);
    advance();
    return;
  }
  if (call.life().items[item].status == Status::waiting) {
    withdraw_waiting(call, item);
  } else {
    call.life().more.edit().given_up.edit().insert(item);
    dispatcher_.stop(call, item, item + 1);
    const auto& subtasks = *call.life().more->subtasks;
    for (auto at = subtasks.lower_bound({item, 0}); at != subtasks.end() && at->first == item;) {
      Call* const subtask = calls_.find((at++)->second);
      if (subtask != nullptr) mark_aborted(*subtask);
    }
  }
  advance();
}

void Controller::abort_if(const std::function<bool(const Call&)>& wanted) {
  const auto visit = driver_.visit();
  for (const auto& call : calls_.unfinished()) {
    if (!wanted(*call)) continue;
    call->life().error_seen = true;
    mark_aborted(*call);
  }
  advance();
}

void Controller::abort_all(const std::string& why) {
  const auto visit = driver_.visit();
  work_.continuations().stop();
  for (const auto& call : calls_.unfinished()) {
    // That these are given up is told to the client as a whole.
    if (call->life().errors->empty()) call->life().error_seen = true;
    call->life().aborted = true;
    withdraw(*call, why);
    dispatcher_.stop(*call, 0, call->life().items.size());
  }
  advance();
}

void Controller::withdraw(Call& call, const std::string& why) {
  withdraw(call, Status::aborted, [&why](const TaskId& task) { return task_aborted(task, why); });
}

// Ends what has not been handed out, whether it stands in a queue, waits for others or was never laid out.
void Controller::withdraw(Call& call, Status status, const MakeError& error) {
  if (!call.life().in_flight) return;
  queue_.withdraw(call);
  ledger_.give_up(call, status, error);
}

// The same for one item that has not been handed out.
void Controller::withdraw_waiting(Call& call, std::uint64_t item) {
  if (call.life().items[item].status != Status::waiting) return;
  queue_.withdraw(call, item);
  ledger_.ended(call, item, Status::aborted, task_aborted({call.id, item}, "aborted while it waited"));
}

void Controller::abandon(Call& call) noexcept {
  std::shared_ptr<Call> unwanted;  // goes when the lock has
  const auto visit = driver_.visit();
  CallLife& life = call.life();
  life.abandoned = true;
  if (life.more->published) life.more.edit().published.reset();
  if (life.done()) report_unseen(call);
  const bool being_filled = life.team != 0 && !life.sealed;
  if (!life.in_flight) {
    unwanted = calls_.drop(call);
  } else if (!transfers_.writing(call) && !being_filled && !life.saves) {
    controller::discard_results(work_, call);
  }
}

}  // namespace rankview::detail

// Tasks that tasks submit: calls of one item whose result goes back to an engine.
namespace rankview::controller {

// The call for what a task of `parent`, on `engine`, has submitted, but for its arguments. Throws DecodeError if its code is not known
// here.
std::shared_ptr<detail::Call> make_subtask(const detail::Call& parent, int engine, const wire::Subtask& subtask);
// Its arguments.
detail::ArgumentBlock arguments_of(const wire::Subtask& subtask);

// The task that has submitted a subtask.
TaskId submitter_of(const detail::Call& subtask);
// Tells the engine that submitted it how a subtask ended.
void answer_subtask(Engines& engines, const detail::Call& subtask);
// The same for one that never became a call.
void refuse_subtask(Engines& engines, int engine, std::uint64_t ticket, const std::exception_ptr& error);

}  // namespace rankview::controller

// Marks on rare branches, so that a test can say that it has come there: RANKVIEW_MARK(name) counts, where the library is built for its
// tests with RANKVIEW_MARKS, and is nothing elsewhere. What a mark is about stands where it is; here are their names.
namespace rankview::marks {

#define RANKVIEW_MARK_NAMES(each)                                                                                                         \
  each(late_result_not_wanted) each(late_result_wanted) each(late_return_run_again) each(expired_attempt_ended)                           \
      each(overdue_attempt_tried_again) each(withdrawn_at_engine) each(killed_while_it_ran) each(argument_gone_from_cache)                \
          each(team_item_again) each(team_item_lost) each(teams_dealt_anew) each(root_part_lost) each(result_lost_on_its_way)             \
              each(crash_limit_reached) each(death_on_suspicion) each(set_aside) each(taken_back) each(aborted_before_rerun)              \
                  each(drained_before_rerun) each(nobody_left_to_rerun) each(subtask_not_wanted) each(stranded_item_moved)                \
                      each(retries_used_up) each(stopped_before_it_began) each(given_back_by_running_batch)                               \
                          each(team_given_up_in_collective) each(batch_of_broken_team) each(team_broken_before_made) each(ended_too_late) \
                              each(gang_broken_by_death) each(gang_member_set_aside) each(engine_kept_for_large) each(found_overdue)

enum class Mark : std::size_t {
#define RANKVIEW_MARK_ENUMERATOR(name) name,
  RANKVIEW_MARK_NAMES(RANKVIEW_MARK_ENUMERATOR)
#undef RANKVIEW_MARK_ENUMERATOR
};

inline constexpr std::array names{
#define RANKVIEW_MARK_TEXT(name) std::string_view(#name),
    RANKVIEW_MARK_NAMES(RANKVIEW_MARK_TEXT)
#undef RANKVIEW_MARK_TEXT
};

using Hits = std::array<std::atomic<std::uint64_t>, names.size()>;

// How often each was come to. A test of several processes may have them count in one place.
inline Hits hits_here{};
inline Hits* hits = &hits_here;

inline std::uint64_t hits_of(Mark mark) { return (*hits)[static_cast<std::size_t>(mark)].load(std::memory_order_relaxed); }

#ifdef RANKVIEW_MARKS
inline constexpr bool counted = true;
#define RANKVIEW_MARK(name) \
  ((*::rankview::marks::hits)[static_cast<std::size_t>(::rankview::marks::Mark::name)].fetch_add(1, std::memory_order_relaxed))
#else
inline constexpr bool counted = false;
#define RANKVIEW_MARK(name) static_cast<void>(0)
#endif

}  // namespace rankview::marks

// What engines say to rank 0.
namespace rankview::inline abi_0_1::detail {

void Controller::on_frame(transport::Frame& frame) {
  try {
    const int engine = engines_.by_peer(frame.peer);
    Reader in(frame.records);
    while (!in.done()) on_record(frame, engine, wire::read(in));
  } catch (const DecodeError& error) {
    // Without it some task would never end, and its client wait for ever.
    transport::end_process(
        1, "rank 0 received a message from rank " + std::to_string(frame.peer) + " that it cannot read: " + wire::error_text(error));
  }
}

void Controller::on_record(transport::Frame& frame, int engine, const wire::Record& record) {
  if (const auto* results = std::get_if<wire::Results>(&record)) {
    on_results(frame, engine, *results);
  } else if (const auto* team_ready = std::get_if<wire::TeamReady>(&record)) {
    teams_.on_join(team_ready->team, engine);
  } else if (const auto* memory = std::get_if<wire::Memory>(&record)) {
    engines_.account(engine).memory = *memory;
  } else if (const auto* returned = std::get_if<wire::Returned>(&record)) {
    on_returned(engine, *returned);
  } else if (const auto* overdue = std::get_if<wire::Overdue>(&record)) {
    on_overdue(engine, *overdue);
  } else if (const auto* subtask = std::get_if<wire::Subtask>(&record)) {
    on_subtask(engine, *subtask);
  } else if (const auto* suspended = std::get_if<wire::Suspended>(&record)) {
    engines_.losses().late().note_suspended(engine, suspended->items);
    tell_suspended(engine);
  } else if (const auto* published = std::get_if<wire::Published>(&record)) {
    on_published(*published);
  } else if (const auto* printed = std::get_if<wire::Printed>(&record)) {
    on_printed(engine, *printed);
  } else if (std::holds_alternative<wire::Bye>(record)) {
    engines_.left(engine);
  } else {
    throw DecodeError("a record that only the controller sends");
  }
}

// ---- results -----------------------------------------------------------------------------------------------------------------

// An engine has ended an item that it had. Whether that is to be run again. Inline, since it is for every item.
bool Controller::on_result(transport::Frame& frame, Call& call, std::uint64_t item, int engine, const wire::ItemResult& result,
                           std::int64_t began, std::int64_t received) {
  ItemRecord& record = call.life().items[item];
  if (record.engine == engine) {
    record.started = began;
    record.completed = result.completed;
    record.received = received;
  }
  if (result.failed) return on_failure(call, item, engine, result.value);
  if (record.engine == engine) {
    transfers_.receive(frame, call, item, result.value);
  } else {
    ledger_.finished(call, item, Status::completed, nullptr);
  }
  return false;
}

void Controller::on_results(transport::Frame& frame, int engine, const wire::Results& results) {
  if (engines_.losses().late().any() && engines_.losses().late().any(engine)) {
    on_late_results(frame, engine, results);
    return;
  }
  Call* const call = calls_.find(results.call);
  if (!retries_.any_expired() && (call == nullptr || results.first + results.count > call->life().items.size()))
    throw DecodeError("results for items that nobody asked for, of call " + std::to_string(results.call));
  const std::int64_t received = now();
  wire::ResultCursor items(results);
  std::int64_t started = results.started;
  std::vector<std::uint64_t> again;
  for (std::uint64_t item = results.first; item < results.first + results.count; ++item) {
    const wire::ItemResult result = items.next();
    const std::int64_t began = std::exchange(started, result.completed);
    if (retries_.any_expired() && retries_.take_expired(engine, results.call, item)) {
      RANKVIEW_MARK(expired_attempt_ended);
      continue;
    }
    if (call == nullptr || item >= call->life().items.size())
      throw DecodeError("a result of task " + to_string(TaskId{results.call, item}) + ", which nobody asked for");
    if (call->life().items[item].status != Status::handed_out)
      throw DecodeError("a second result of task " + to_string(TaskId{call->id, item}));
    if (on_result(frame, *call, item, engine, result, began, received)) again.push_back(item);
  }
  transfers_.flush();
  ledger_.flush_records();
  queue_.scheduler().finished(engine, results.call, results.first, results.first + results.count, started - results.started);
  if (call == nullptr) return;
  call->life().last_received = received;
  // Until finished() the scheduler counts them against the engine.
  for (const std::uint64_t item : again) resubmit(*call, item);
}

// The same for an engine that was set aside: some of it the scheduler does not count any more, and some of that is not wanted.
void Controller::on_late_results(transport::Frame& frame, int engine, const wire::Results& results) {
  Call* const call = calls_.find(results.call);
  const std::int64_t received = now();
  wire::ResultCursor items(results);
  std::int64_t started = results.started;
  for (std::uint64_t item = results.first; item < results.first + results.count; ++item) {
    const wire::ItemResult result = items.next();
    const std::int64_t began = std::exchange(started, result.completed);
    const std::optional<bool> late = engines_.losses().late().take(engine, {results.call, item});
    const bool expired = retries_.take_expired(engine, results.call, item);
    bool again = false;
    if (late.value_or(false) || expired) {
      RANKVIEW_MARK(late_result_not_wanted);
      if (!frame.attachment_sizes.empty()) transfers_.drop(frame);
    } else if (call == nullptr || item >= call->life().items.size() || call->life().items[item].status != Status::handed_out) {
      throw DecodeError("a result of task " + to_string(TaskId{results.call, item}) + ", which nobody asked for");
    } else {
      RANKVIEW_MARK(late_result_wanted);
      again = on_result(frame, *call, item, engine, result, began, received);
    }
    if (!late) queue_.scheduler().finished(engine, results.call, item, item + 1, result.completed - began);
    if (again) resubmit(*call, item);
  }
  transfers_.flush();
  ledger_.flush_records();
  tell_suspended(engine);
  if (call != nullptr) call->life().last_received = received;
}

// An engine says that an item failed there. Whether it is to be run again.
bool Controller::on_failure(Call& call, std::uint64_t item, int engine, std::span<const std::byte> value) {
  Reader in(value);
  const wire::Failure failure = wire::read_failure(in);
  if (call.spread == Spread::teams && controller::ItemLedger::is_again_behind_team(call, item)) {
    // It may have failed because of that.
    ledger_.finished(call, item, Status::failed, nullptr);
    return false;
  }
  switch (failure.kind) {
    case wire::FailureKind::stood_back:
      ++engines_.account(engine).failed;
      ledger_.finished(call, item, Status::aborted, nullptr);
      return false;
    case wire::FailureKind::stopped:
      if (gives_back(call) && !given_up(call, item)) {
        give_back(call, item, "the task was not run");
        return false;
      }
      RANKVIEW_MARK(withdrawn_at_engine);
      ledger_.finished(call, item, Status::aborted, task_aborted({call.id, item}, "aborted before it ran"));
      return false;
    case wire::FailureKind::killed:
      ++engines_.account(engine).failed;
      if (gives_back(call) && !given_up(call, item)) {
        give_back(call, item, "the task, which ran, was ended");
        return false;
      }
      RANKVIEW_MARK(killed_while_it_ran);
      ledger_.finished(call, item, Status::aborted, task_aborted({call.id, item}, "aborted while it ran: its process was killed"));
      return false;
    case wire::FailureKind::team_broken:
      // The one that has died may have ended its part before.
      if (call.spread == Spread::teams && run_.open() && call.life().terms->on_engine_death == OnEngineDeath::rerun) {
        RANKVIEW_MARK(team_item_again);
        ledger_.again_behind_team(call, item);
        ledger_.finished(call, item, Status::failed, nullptr);
        return false;
      }
      RANKVIEW_MARK(team_item_lost);
      ledger_.finished(call, item, Status::failed,
                       engines_.losses().error(missing_engine(call, item), {call.id, item}, "others ran the task together with it"));
      return false;
    case wire::FailureKind::refused:
      controller::RetryPolicy::note_refusal(call, item, engine);
      ledger_.not_begun(call, item);
      return true;
    case wire::FailureKind::gone:
      RANKVIEW_MARK(argument_gone_from_cache);
      // Next time the values of results that are its arguments go along.
      for (const Prerequisite& result : call.life().more->deferred.arguments.tasks()) result.call->life().cached_on = -1;
      ledger_.not_begun(call, item);
      return true;
    default:
      break;
  }
  const std::exception_ptr first = task_error(call, item, engines_[engine], engine, failure, {});
  if (retries_.retry_after(call, item, engine, first)) {
    ledger_.failed(call, item);
    return true;
  }
  const auto earlier = controller::RetryPolicy::earlier_errors(call, item);
  std::exception_ptr error = earlier.empty() ? first : task_error(call, item, engines_[engine], engine, failure, earlier);
  if (call.life().checkpointed) note_failure(*call.life().more->checkpointed, item, wire::error_text(error));
  if (call.communicator) stuck_teams_.note(call, item, now(), error);
  ledger_.finished(call, item, Status::failed, std::move(error));
  return false;
}

// Whether any engine that may run its items has not died.
bool Controller::somebody_left(const Call& call) const {
  const Terms& terms = *call.life().terms;
  const auto could = [&](int id) {
    return !engines_.lost(id) && (terms.isolation == Isolation::none || engines_[id].slots >= terms.slots);
  };
  if (call.spread == Spread::teams) {
    return std::any_of(call.life().more->teams.begin(), call.life().more->teams.end(),
                       [&](const std::vector<int>& team) { return std::all_of(team.begin(), team.end(), could); });
  }
  if (!call.engines.empty()) return std::any_of(call.engines.begin(), call.engines.end(), could);
  for (int id = 0; id < engines_.count(); ++id) {
    if (could(id)) return true;
  }
  return false;
}

// Lets an item wait for an engine again.
void Controller::resubmit(Call& call, std::uint64_t item) {
  if (call.life().more->deferred.placed >= 0) call.life().more.edit().deferred.placed = -1;
  const TaskId task{call.id, item};
  if (call.spread == Spread::teams) deal_teams_anew(call);
  if (given_up(call, item)) {
    RANKVIEW_MARK(aborted_before_rerun);
    ledger_.ended(call, item, Status::aborted, task_aborted(task, "aborted before it ran again"));
  } else if (gives_back(call)) {
    RANKVIEW_MARK(drained_before_rerun);
    give_back(call, item, "the task was not run again");
  } else if (!queue_.enqueue_again(call, item, controller::RetryPolicy::avoid(call, item), controller::RetryPolicy::suspect(call, item))) {
    if (engines_.losses().any() && !somebody_left(call)) {
      RANKVIEW_MARK(nobody_left_to_rerun);
      ledger_.ended(call, item, Status::failed,
                    engines_.losses().error(missing_engine(call, item), task, "nobody is left to run the task"));
      return;
    }
    ledger_.ended(call, item, Status::failed,
                  std::make_exception_ptr(ImpossibleDependency(task, nullptr,
                                                               "every engine that may run it has refused it (Flags::depend)" +
                                                                   wire::listed(controller::RetryPolicy::earlier_errors(call, item)))));
  }
}

// How much of what the engine has waits for others.
void Controller::tell_suspended(int engine) {
  if (engines_.live(engine)) queue_.scheduler().suspended(engine, engines_.losses().late().suspended(engine));
}

// ---- the rest ----------------------------------------------------------------------------------------------------------------

// An item runs for too long, and goes on. For the client the attempt is over; the engine is not free before it ends.
void Controller::on_overdue(int engine, const wire::Overdue& overdue) {
  Call* const call = calls_.find(overdue.call);
  const TaskId task{overdue.call, overdue.item};
  if (engines_.losses().late().given_away(engine, task)) return;
  if (call == nullptr || overdue.item >= call->life().items.size() || call->life().items[overdue.item].status != Status::handed_out ||
      call->life().items[overdue.item].engine != engine)
    throw DecodeError("task " + to_string(task) + " is said to run for too long, and does not run there");
  retries_.note_expired(engine, overdue.call, overdue.item);
  call->life().last_received = now();
  if (retries_.retry_after(*call, overdue.item, engine, task_timed_out(*call, task, engine, {}))) {
    RANKVIEW_MARK(overdue_attempt_tried_again);
    ledger_.failed(*call, overdue.item);
    resubmit(*call, overdue.item);
  } else {
    const auto earlier = controller::RetryPolicy::earlier_errors(*call, overdue.item);
    ledger_.ended(*call, overdue.item, Status::failed, task_timed_out(*call, task, engine, earlier));
  }
}

// An engine gives back what it has not begun.
void Controller::on_returned(int engine, const wire::Returned& returned) {
  std::vector<scheduler::Range> ranges;
  if (engines_.losses().late().any(engine)) {
    on_late_return(engine, returned);
    return;
  }
  for (const wire::Items& items : returned.items) {
    Call* const call = calls_.find(items.call);
    if (call == nullptr || items.first + items.count > call->life().items.size())
      throw DecodeError("items of call " + std::to_string(items.call) + " were given back that there are not");
    for (std::uint64_t item = items.first; item < items.first + items.count; ++item) ledger_.returned(*call, item, engine);
    ranges.push_back({items.call, items.first, items.first + items.count, items.whole != 0});
  }
  queue_.scheduler().returned(engine, ranges);
  for (const wire::Items& items : returned.items) {
    Call& call = *calls_.find(items.call);
    if (call.life().aborted) {
      withdraw(call, "aborted before it ran");
    } else if (gives_back(call)) {
      give_back(call);
    } else if (!call.life().more->given_up->empty()) {
      for (std::uint64_t item = items.first; item < items.first + items.count; ++item) {
        if (given_up(call, item)) withdraw_waiting(call, item);
      }
    }
  }
}

// The same for one that was set aside, of which the scheduler does not count some.
void Controller::on_late_return(int engine, const wire::Returned& returned) {
  for (const wire::Items& items : returned.items) {
    Call* const call = calls_.find(items.call);
    for (std::uint64_t item = items.first; item < items.first + items.count; ++item) {
      const std::optional<bool> late = engines_.losses().late().take(engine, {items.call, item});
      if (!late) queue_.scheduler().finished(engine, items.call, item, item + 1, 0);
      if (call == nullptr || late.value_or(false)) continue;
      RANKVIEW_MARK(late_return_run_again);
      ledger_.returned(*call, item, engine);
      resubmit(*call, item);
    }
  }
  tell_suspended(engine);
}

// What is published of a call that is over, or that nobody can ask any more, is dropped.
void Controller::on_published(const wire::Published& published) {
  Call* const call = calls_.find(published.call);
  if (call == nullptr || call->life().abandoned) return;
  if (published.item >= call->life().items.size())
    throw DecodeError("a value of task " + to_string(TaskId{published.call, published.item}) + ", which there is not");
  call->life().more.edit().published.edit()[published.item][published.name] =
      std::make_shared<const PublishedValue>(PublishedValue{published.type, {published.value.begin(), published.value.end()}});
}

// What has been printed by an attempt that is none any more, since another has been made or may be, is dropped.
void Controller::on_printed(int engine, const wire::Printed& printed) {
  Call* const call = calls_.find(printed.call);
  if (call == nullptr) return;
  const TaskId task{printed.call, printed.item};
  if (printed.item >= call->life().items.size()) throw DecodeError("something printed by task " + to_string(task) + ", which there is not");
  const ItemRecord& record = call->life().items[printed.item];
  if (call->spread != Spread::teams && record.engine != engine) return;
  if (retries_.expired(engine, printed.call, printed.item) && !has_ended(record.status)) return;
  const auto text = [](std::span<const std::byte> bytes) { return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()); };
  capture::Texts texts{text(printed.out), text(printed.err)};
  if (settings_.recorder != nullptr) settings_.recorder->printed(*call, printed.item, engine, texts);
  if (call->life().abandoned) return;
  PrintedBy& known = call->life().more.edit().printed.edit()[printed.item];
  if (known.attempt != record.attempts) known = {record.attempts, {}};
  known.engines[engine] = std::move(texts);
}

void Controller::on_subtask(int engine, const wire::Subtask& subtask) {
  Call* const parent = calls_.find(subtask.parent_call);
  if (parent == nullptr || given_up(*parent, subtask.parent_item) || !run_.open()) {
    RANKVIEW_MARK(subtask_not_wanted);
    controller::refuse_subtask(engines_, engine, subtask.ticket,
                               std::make_exception_ptr(TaskAborted("the task that submitted it is not wanted any more")));
    return;
  }
  std::shared_ptr<Call> call;
  try {
    call = controller::make_subtask(*parent, engine, subtask);
  } catch (const DecodeError&) {
    // That rank 0 does not have it is no fault of the message.
    controller::refuse_subtask(engines_, engine, subtask.ticket, std::current_exception());
    return;
  }
  call->life().submitted = now();
  add(call);
  // It takes turns with what the client submits elsewhere, as its parent does.
  call->life().submitter = parent->life().submitter;
  add(*call, controller::arguments_of(subtask));
  lay_out(*call);
  parent->life().more.edit().subtasks.edit().emplace(subtask.parent_item, call->id);
}

}  // namespace rankview::detail

namespace rankview::controller {

using detail::Call;
using detail::has_ended;
using detail::ItemRecord;
using detail::Spread;

// All items of a call have ended, which is not told before this has made of their values what the client gets.
class ItemLedger::Completion final : public UserWork::Piece {
 public:
  // `last`: the item that ended last; none if the call was sealed after that.
  Completion(ItemLedger& ledger, Call& call, std::optional<std::uint64_t> last) : Piece(call.life().self), ledger_(ledger), last_(last) {}

  void run() noexcept override {
    try {
      call().complete();
    } catch (...) {
      error_ = detail::with_text(detail::caught());
    }
  }
  void finish() override {
    call().life().failure = detail::keep(call(), std::move(error_));
    if (last_) {
      ledger_.publish_end(call(), *last_);
    } else {
      ledger_.publish_seal(call());
    }
  }

 private:
  ItemLedger& ledger_;
  std::optional<std::uint64_t> last_;
  detail::ToldError error_;
};

void ItemLedger::granted(Call& call, std::uint64_t begin, std::uint64_t end, int engine) {
  for (std::uint64_t item = begin; item < end; ++item) {
    ItemRecord& record = call.life().items[item];
    // The first engine of a team stands for all.
    if (record.status == Status::handed_out) continue;
    record.status = Status::handed_out;
    record.engine = engine;
    ++record.attempts;
  }
  if (recorder_ != nullptr) recorder_->granted(call, begin, end, engine);
}

void ItemLedger::returned(Call& call, std::uint64_t item, int engine) {
  const ItemRecord& record = call.life().items[item];
  if (record.status != Status::handed_out || record.engine != engine)
    throw DecodeError("task " + to_string(TaskId{call.id, item}) + " was given back by an engine that does not have it");
  not_begun(call, item);
}

void ItemLedger::not_begun(Call& call, std::uint64_t item) {
  ItemRecord& record = call.life().items[item];
  record.status = Status::waiting;
  record.engine = -1;
  --record.attempts;
}

void ItemLedger::failed(Call& call, std::uint64_t item) {
  call.life().items[item].status = Status::waiting;
  if (recorder_ != nullptr) recorder_->retried(call, item);
}

// Mostly neighbours end one after the other.
void ItemLedger::note_unrecorded(const Call& call, std::uint64_t item) {
  if (unrecorded_ == &call && last_ == item) {
    ++last_;
    return;
  }
  flush_records();
  unrecorded_ = &call;
  first_ = item;
  last_ = item + 1;
}

void ItemLedger::record_ends() { recorder_->ended(*std::exchange(unrecorded_, nullptr), first_, last_); }

// The status and error that the item ends with, if this was the last of its team to end it.
bool ItemLedger::last_of_team(Call& call, std::uint64_t item, Status& status, std::exception_ptr& error) {
  auto& team_items = call.life().more.edit().team_items.edit();
  const auto found = team_items.find(item);
  detail::TeamItem& running = found->second;
  // The first error stands for all.
  if (error && !running.error) running.error = std::move(error);
  if (--running.pending != 0) return false;
  if (running.again) {
    team_items.erase(found);
    failed(call, item);
    left_by_teams_.push_back({call.id, item});
    return false;
  }
  error = std::move(running.error);
  status = error ? Status::failed : Status::completed;
  team_items.erase(found);
  return true;
}

void ItemLedger::again_behind_team(Call& call, std::uint64_t item) {
  detail::TeamItem& running = call.life().more.edit().team_items.edit().at(item);
  if (!running.error) running.again = true;
}

bool ItemLedger::is_again_behind_team(const Call& call, std::uint64_t item) {
  const auto running = call.life().more->team_items->find(item);
  return running != call.life().more->team_items->end() && running->second.again;
}

// What few items bring with them when they end.
void ItemLedger::note_end(Call& call, std::uint64_t item, std::exception_ptr&& error) {
  detail::CallLife& life = call.life();
  if (error && recorder_ != nullptr && life.items[item].status == Status::failed) recorder_->ending(call, item, nullptr);
  if (error) life.errors.edit().emplace(item, std::move(error));
  for (const auto& [feed, first] : life.more->feeds) {
    if (const auto alive = feed.lock()) alive->ended.push_back(first + item);
  }
}

// Arguments are kept no longer than they may be needed.
void ItemLedger::drop_arguments(detail::ArgumentBlock& block) {
  work_.leave(std::move(block.data.kept));
  block.data = {};
}

void ItemLedger::add_completion(Call& call, std::uint64_t last) { work_.add(std::make_unique<Completion>(*this, call, last)); }

// A task counts once, by how it ended, on the team that ran it last.
void ItemLedger::count_end_of_team(const Call& call, const ItemRecord& record) {
  for (const std::vector<int>& team : call.life().more->teams) {
    if (team.front() != record.engine) continue;
    for (const int engine : team) engines_.account(engine).count(record.status);
  }
}

void ItemLedger::give_up(Call& call, Status status, const MakeError& error) {
  // Rank 0 has no part in what nobody was handed.
  if (call.spread == Spread::together && call.life().team == 0) seal(call);
  for (std::uint64_t item = 0; item < call.life().items.size(); ++item) {
    if (call.life().items[item].status == Status::waiting) ended(call, item, status, error({call.id, item}));
  }
}

void ItemLedger::seal(Call& call) {
  const detail::CallLife& life = call.life();
  if (life.sealed) return;
  if (call.completes && life.ended == life.items.size() && !detail::failed(call) && !life.abandoned) {
    work_.add(std::make_unique<Completion>(*this, call, std::nullopt));
  } else {
    publish_seal(call);
  }
}

void ItemLedger::publish_seal(Call& call) {
  detail::CallLife& life = call.life();
  life.sealed.store(true, std::memory_order_release);
  if (call.root->kind != detail::RootPart::Kind::none) {
    // Whoever waits for its items waits for rank 0's part as well.
    for (std::uint64_t item = 0; item < life.items.size(); ++item) {
      if (has_ended(life.items[item].status)) gate_.ended(call, item);
    }
  }
  if (life.done()) over_.push_back(&call);
}

}  // namespace rankview::controller

namespace rankview::inline abi_0_1 {

const char* to_string(Status status) noexcept {
  switch (status) {
    case Status::waiting:
      return "waiting";
    case Status::handed_out:
      return "handed out";
    case Status::completed:
      return "completed";
    case Status::failed:
      return "failed";
    case Status::aborted:
      return "aborted";
  }
  return "unknown";
}

}  // namespace rankview

// What is known of a call: how its items ended, when, and what they have published.
namespace rankview::inline abi_0_1::detail {
namespace {

Metadata::Time time_point(std::int64_t nanoseconds) {
  return Metadata::Time(std::chrono::duration_cast<Metadata::Time::duration>(std::chrono::nanoseconds(nanoseconds)));
}

Seconds seconds(std::int64_t nanoseconds) { return std::chrono::nanoseconds(nanoseconds); }

}  // namespace

// Under the controller's lock, or when the call is done.
bool failed(const Call& call) { return call.life().failure != nullptr || !call.life().errors->empty(); }

std::exception_ptr error_of(Call& call, std::uint64_t item) {
  return call.controller->locked([&]() -> std::exception_ptr {
    const auto found = call.life().errors->find(item);
    const bool aborted = item < call.life().items.size() && call.life().items[item].status == Status::aborted;
    if (found == call.life().errors->end() && call.life().failure == nullptr && !aborted) return nullptr;
    call.life().error_seen = true;
    if (found != call.life().errors->end()) return found->second;
    if (call.life().failure) return call.life().failure;
    return std::make_exception_ptr(TaskAborted("task " + to_string(TaskId{call.id, item}) +
                                               ": this engine could have taken part in the collective, and another could not"));
  });
}

namespace {

// Of a call some of whose items the run did not come to, what became of others.
std::string failures_beside(const Call& call) {
  const std::size_t failures = call.life().errors->size() - call.life().more->given_back;
  if (failures == 0) return "";
  for (const auto& [item, error] : *call.life().errors) {
    if (call.life().items[item].status == Status::failed)
      return "; besides, " + std::to_string(failures) + " have failed, the first with: " + text_of(call, error);
  }
  return "";
}

}  // namespace

void rethrow(Call& call) {
  if (!failed(call)) return;
  call.life().error_seen = true;
  if (call.life().failure) std::rethrow_exception(call.life().failure);
  if (call.multiple && call.life().more->given_back != 0)
    throw Draining("the run drains, and " + std::to_string(call.life().more->given_back) + " of " +
                   std::to_string(call.life().items.size()) + " tasks are left to a later run" + failures_beside(call));
  if (!call.multiple && !call.composite) std::rethrow_exception(call.life().errors->begin()->second);
  std::vector<CompositeError::Failure> failures;
  failures.reserve(call.life().errors->size());
  for (const auto& [item, error] : *call.life().errors) failures.push_back({item, error});
  throw CompositeError(std::move(failures), call.life().items.size());
}

std::exception_ptr error_of(Call& call) {
  try {
    rethrow(call);
    return nullptr;
  } catch (...) {
    return std::current_exception();
  }
}

DoneAndPending done_and_pending(Call& call) {
  return call.controller->locked([&call] {
    DoneAndPending tasks;
    for (std::size_t item = 0; item < call.life().items.size(); ++item)
      (has_ended(call.life().items[item].status) ? tasks.done : tasks.pending).push_back(item);
    return tasks;
  });
}

Times times_of(Call& call) {
  return call.controller->locked([&call] {
    Times times{};
    std::int64_t serial = 0;
    for (const ItemRecord& item : call.life().items) serial += item.completed - item.started;
    times.serial = seconds(serial);
    const std::int64_t last = std::max(call.life().last_received, call.life().submitted);
    times.wall = seconds(last - call.life().submitted);
    times.elapsed = seconds((call.life().done() ? last : call.controller->now()) - call.life().submitted);
    return times;
  });
}

void check_item(Call& call, std::uint64_t item) {
  if (item < call.life().items.size()) return;
  throw std::out_of_range("there is no task " + std::to_string(item) + " in a result of " + std::to_string(call.life().items.size()) +
                          " tasks");
}

namespace {

void add_printed(const Call& call, std::uint64_t item, Metadata& metadata) {
  const auto printed = call.life().more->printed->find(item);
  if (printed == call.life().more->printed->end() || printed->second.attempt != call.life().items[item].attempts) return;
  for (const auto& [engine, texts] : printed->second.engines) {
    metadata.stdout_text += texts.out;
    metadata.stderr_text += texts.err;
  }
}

}  // namespace

Metadata metadata_of(Call& call, std::uint64_t index) {
  return call.controller->locked([&] {
    check_item(call, index);
    const ItemRecord& item = call.life().items[index];
    Metadata metadata;
    metadata.task = {call.id, index};
    metadata.label = call.life().more->label;
    metadata.status = item.status;
    metadata.engine = item.engine;
    if (item.engine >= 0) metadata.host = call.controller->engine(item.engine).host;
    metadata.attempt = item.attempts;
    metadata.submitted = time_point(call.life().submitted);
    metadata.started = time_point(item.started);
    metadata.completed = time_point(item.completed);
    metadata.received = time_point(item.received);
    if (const auto error = call.life().errors->find(index); error != call.life().errors->end()) {
      call.life().error_seen = true;
      metadata.error = text_of(call, error->second);
    }
    add_printed(call, index, metadata);
    return metadata;
  });
}

namespace {

// Under the controller's lock.
const PublishedValues& published_of(const Call& call, std::uint64_t item) {
  static const PublishedValues none;
  const auto found = call.life().more->published->find(item);
  return found == call.life().more->published->end() ? none : found->second;
}

}  // namespace

std::shared_ptr<const PublishedValue> published(Call& call, std::uint64_t item, std::string_view name, const std::type_info& type) {
  static_cast<void>(poll(call));
  return call.controller->locked([&] {
    const PublishedValues& values = published_of(call, item);
    const auto found = values.find(name);
    if (found == values.end()) {
      std::string known;
      for (const auto& entry : values) known += (known.empty() ? "" : ", ") + entry.first;
      throw NameError("task " + to_string(TaskId{call.id, item}) + " has not published \"" + std::string(name) + "\" by now, but " +
                      (known.empty() ? "nothing" : known));
    }
    if (found->second->type != type.name())
      throw TypeError("what task " + to_string(TaskId{call.id, item}) + " has published as \"" + std::string(name) + "\" is a " +
                      engine::type_name(found->second->type.c_str()) + ", not a " + engine::type_name(type));
    return found->second;
  });
}

bool has_published(Call& call, std::uint64_t item, std::string_view name) {
  static_cast<void>(poll(call));
  return call.controller->locked([&] { return published_of(call, item).contains(name); });
}

std::vector<VariableInfo> list_published(Call& call, std::uint64_t item) {
  static_cast<void>(poll(call));
  return call.controller->locked([&] {
    std::vector<VariableInfo> all;
    for (const auto& [name, value] : published_of(call, item))
      all.push_back({name, engine::type_name(value->type.c_str()), value->bytes.size()});
    return all;
  });
}

void note_error_seen(Call& call) noexcept { call.life().error_seen = true; }

void report_unseen(Call& call) noexcept {
  if (call.life().error_seen || !failed(call)) return;
  call.life().error_seen = true;
  if (call.life().failure) {
    std::fprintf(stderr, "rankview: call %llu failed, and nobody asked for its result: %s\n", static_cast<unsigned long long>(call.id),
                 text_of(call, call.life().failure).c_str());
    return;
  }
  std::fprintf(stderr, "rankview: %zu of %zu tasks of call %llu%s%s failed, and nobody asked for its result; the first error was: %s\n",
               call.life().errors->size(), call.life().items.size(), static_cast<unsigned long long>(call.id),
               call.life().more->label.empty() ? "" : " ", call.life().more->label.c_str(),
               text_of(call, call.life().errors->begin()->second).c_str());
}

}  // namespace rankview::detail

// Calls that rank 0 runs itself, continuations and coroutines, and what continues calls.
namespace rankview::inline abi_0_1::detail {
namespace {

// Calls that rank 0 runs itself that this thread is in: as continuations, or where they were made.
thread_local int local_calls = 0;

std::mutex runs_mutex;
std::vector<std::weak_ptr<Controller>> runs;

}  // namespace

Continuation::~Continuation() = default;

void note_run(const std::shared_ptr<Controller>& controller) {
  const std::lock_guard guard(runs_mutex);
  std::erase_if(runs, [](const auto& run) { return run.expired(); });
  runs.push_back(controller);
}

std::shared_ptr<Controller> running_controller() {
  const std::lock_guard guard(runs_mutex);
  // NOLINTNEXTLINE(modernize-loop-convert): what it asks for, clang 14 cannot compile
  for (auto run = runs.rbegin(); run != runs.rend(); ++run) {
    if (auto controller = run->lock(); controller != nullptr && controller->open()) return controller;
  }
  throw UsageError("there is no run under way in this process: rv::Task and rv::when_all belong to the client's side of one");
}

void Controller::begin_local(const std::shared_ptr<Call>& call) {
  call->life().submitted = now();
  call->spread = Spread::rank_0;
  call->same_arguments = true;  // it has none
  call->life().items.resize(1);
  call->grow(1, 1);
  call->life().laid_out = true;
  call->life().sealed.store(true, std::memory_order_release);
  {
    const auto visit = driver_.visit();
    call->life().has_handles = true;
    calls_.enlist(call);
    if (settings_.recorder != nullptr) settings_.recorder->submitted(*call);
    // What it continues is done, and so will it be.
    if (!run_.connected()) calls_.end(*call);
  }
  driver_.wake_progress_thread();
}

bool Controller::enter_local(Call& call) {
  const auto visit = driver_.visit();
  if (call.life().items[0].status != Status::waiting) return false;
  ledger_.granted(call, 0, 1, -1);
  call.life().items[0].started = now();
  return true;
}

void Controller::end_local(Call& call, std::exception_ptr error) {
  ToldError told = with_text(std::move(error));
  const auto visit = driver_.visit();
  ItemRecord& item = call.life().items[0];
  if (has_ended(item.status)) return;  // with the run
  item.completed = now();
  item.received = item.completed;
  call.life().last_received = item.completed;
  const Status status = told.error ? Status::failed : Status::completed;
  ledger_.ended(call, 0, status, keep(call, std::move(told)));
  advance();
}

bool Controller::add(Call& call, const std::shared_ptr<Continuation>& continuation) {
  const auto visit = driver_.visit();
  if (call.life().done()) return false;
  call.life().more.edit().continuations.push_back(continuation);
  return true;
}

void begin_local(const std::shared_ptr<Call>& call, const std::shared_ptr<Controller>& controller) {
  call->controller = controller;
  controller->begin_local(call);
}

bool enter_local(Call& call) { return call.controller->enter_local(call); }

void end_local(Call& call, std::exception_ptr error) { call.controller->end_local(call, std::move(error)); }

InLocal::InLocal() noexcept { ++local_calls; }

InLocal::~InLocal() { --local_calls; }

bool wait_all(Controller& controller, const Deadline& deadline) {
  if (local_calls != 0)
    throw UsageError(
        "Client::wait() in a continuation or a coroutine would wait for that itself; wait for the results that it needs: "
        "wait(results...)");
  return controller.drive(
      deadline, [&controller] { return controller.idle(); }, true);
}

bool add_continuation(Call& call, const std::shared_ptr<Continuation>& continuation) {
  // The continuation may run, and the call go, before this returns.
  const std::shared_ptr<Controller> controller = call.controller;
  return controller->add(call, continuation);
}

void continue_with(Call& call, const std::shared_ptr<Continuation>& continuation) {
  if (!add_continuation(call, continuation)) continuation->run();
}

}  // namespace rankview::detail

namespace rankview::inline abi_0_1 {

Table Hub::query(const std::string& sql, const std::vector<Value>& values) const { return controller::ask(*controller_, sql, values); }

std::int64_t Hub::run() const { return controller::number_of_run(*controller_, 0); }

}  // namespace rankview

namespace rankview::controller {

Table ask(detail::Controller& controller, const std::string& sql, const TaskArchive::Values& values) {
  TaskArchive& archive = controller.archive();
  try {
    return archive.query(sql, values);
  } catch (const std::exception& error) {
    throw UsageError(std::string("the hub: ") + error.what());
  }
}

std::int64_t number_of_run(detail::Controller& controller, std::int64_t run) {
  if (run != 0) return run;
  const std::int64_t known = controller.archive().run();
  if (known == 0) throw UsageError("the hub knows nothing of this run, since it could not be written");
  return known;
}

std::string shown(std::int64_t run, const TaskId& task) { return "task " + to_string(task) + " of run " + std::to_string(run); }

std::int64_t number_in(const std::optional<std::string>& cell) {
  std::int64_t number = 0;
  if (cell) std::from_chars(cell->data(), cell->data() + cell->size(), number);
  return number;
}

std::vector<std::string> lists_of(const std::vector<std::uint64_t>& items) {
  constexpr std::size_t at_once = 500;
  std::vector<std::string> lists;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i % at_once == 0) {
      lists.emplace_back();
    } else {
      lists.back() += ',';
    }
    lists.back() += std::to_string(items[i]);
  }
  return lists;
}

}  // namespace rankview::controller

namespace rankview::inline abi_0_1::detail {

namespace controller = rankview::controller;
using controller::number_in;

namespace {

void change(Controller& controller, const std::vector<std::string>& statements, const controller::TaskArchive::Values& values) {
  controller::TaskArchive& archive = controller.archive();
  try {
    archive.change(statements, values);
  } catch (const std::exception& error) {
    throw UsageError(std::string("the hub: ") + error.what());
  }
}

// What is asked for as a number of nanoseconds since the epoch.
std::string nanoseconds_of(const std::string& column) { return "cast(round(" + column + " * 1e9) as integer)"; }

Metadata::Time time_in(const std::optional<std::string>& cell) {
  return Metadata::Time(std::chrono::duration_cast<Metadata::Time::duration>(std::chrono::nanoseconds(number_in(cell))));
}

std::uint64_t count_in(const std::optional<std::string>& cell) { return static_cast<std::uint64_t>(number_in(cell)); }

Status status_in(const std::optional<std::string>& cell) {
  for (const Status status : {Status::completed, Status::failed, Status::aborted}) {
    if (cell == to_string(status)) return status;
  }
  return Status::waiting;
}

}  // namespace

std::vector<TaskOfRun> of_run(std::int64_t run, const std::vector<TaskId>& tasks) {
  std::vector<TaskOfRun> all;
  all.reserve(tasks.size());
  for (const TaskId& task : tasks) all.push_back({run, task});
  return all;
}

std::vector<TaskOfRun> of_records(const std::vector<TaskRecord>& records) {
  std::vector<TaskOfRun> all;
  all.reserve(records.size());
  for (const TaskRecord& record : records) all.push_back({record.run, record.task});
  return all;
}

std::vector<CallRecord> history(Controller& controller, std::int64_t run) {
  const Table table = controller::ask(controller,
                                      "select run, id, label, function, tasks, completed, failed, aborted, " + nanoseconds_of("submitted") +
                                          ", " + nanoseconds_of("ended") + " from call where run = ? order by id",
                                      {controller::number_of_run(controller, run)});
  std::vector<CallRecord> calls;
  calls.reserve(table.rows.size());
  for (const auto& row : table.rows) {
    CallRecord& call = calls.emplace_back();
    call.run = number_in(row[0]);
    call.call = count_in(row[1]);
    call.label = row[2].value_or("");
    call.function = row[3].value_or("");
    call.tasks = count_in(row[4]);
    call.completed = count_in(row[5]);
    call.failed = count_in(row[6]);
    call.aborted = count_in(row[7]);
    call.submitted = time_in(row[8]);
    call.ended = time_in(row[9]);
  }
  return calls;
}

std::vector<TaskRecord> find_tasks(Controller& controller, const TaskQuery& query) {
  std::string where;
  controller::TaskArchive::Values values;
  const auto add = [&](const char* condition, Hub::Value value) {
    where += (where.empty() ? " where " : " and ") + std::string(condition);
    values.push_back(std::move(value));
  };
  if (query.run) add("t.run = ?", *query.run);
  if (query.call) add("t.call = ?", static_cast<std::int64_t>(*query.call));
  if (query.status) add("t.status = ?", to_string(*query.status));
  if (query.engine) add("t.engine = ?", std::int64_t{*query.engine});
  if (query.host) add("engine.host = ?", *query.host);
  if (query.label) add("call.label = ?", *query.label);
  if (query.function) add("instr(call.function, ?)", *query.function);
  if (query.error) add("instr(t.error, ?)", *query.error);
  if (query.longer_than) add("t.run_time > ?", query.longer_than->count());
  std::string sql = "select t.run, t.call, t.item, t.status, t.engine, t.attempts, t.error, call.label, call.function, engine.host";
  for (const char* const stream : {"stdout", "stderr"}) {
    sql += std::string(", (select group_concat(") + stream +
           ", '') from output where run = t.run and call = t.call and item = t.item and attempt = t.attempts)";
  }
  for (const char* const time : {"call.submitted", "t.started", "t.completed", "t.received"}) sql += ", " + nanoseconds_of(time);
  sql +=
      " from tasks as t left join call on call.run = t.run and call.id = t.call"
      " left join engine on engine.run = t.run and engine.id = t.engine" +
      where + " order by t.run, t.call, t.item";
  if (query.limit) {
    sql += " limit ?";
    values.emplace_back(static_cast<std::int64_t>(*query.limit));
  }
  const Table table = controller::ask(controller, sql, values);
  std::vector<TaskRecord> tasks;
  tasks.reserve(table.rows.size());
  for (const auto& row : table.rows) {
    TaskRecord& task = tasks.emplace_back();
    task.run = number_in(row[0]);
    task.task = {count_in(row[1]), count_in(row[2])};
    task.status = status_in(row[3]);
    task.engine = row[4] ? static_cast<int>(number_in(row[4])) : -1;
    task.attempt = static_cast<int>(number_in(row[5]));
    task.error = row[6].value_or("");
    task.label = row[7].value_or("");
    task.function = row[8].value_or("");
    task.host = row[9].value_or("");
    task.stdout_text = row[10].value_or("");
    task.stderr_text = row[11].value_or("");
    task.submitted = time_in(row[12]);
    task.started = time_in(row[13]);
    task.completed = time_in(row[14]);
    task.received = time_in(row[15]);
  }
  return tasks;
}

void purge(Controller& controller, const std::vector<TaskOfRun>& tasks) {
  std::map<std::pair<std::int64_t, std::uint64_t>, std::vector<std::uint64_t>> calls;
  for (const TaskOfRun& each : tasks) calls[{controller::number_of_run(controller, each.run), each.task.call}].push_back(each.task.item);
  for (const auto& [call, items] : calls) {
    std::vector<std::string> statements;
    for (const std::string& list : controller::lists_of(items)) {
      for (const char* const table : {"task", "retry", "kept", "output"})
        statements.push_back(std::string("delete from ") + table + " where run = ?1 and call = ?2 and item in (" + list + ")");
      const std::string number = "pack.first + json_extract(each.value, '$[0]')";
      const std::string each = " from json_each(pack.tasks) as each where " + number;
      std::string& rest = statements.emplace_back("update pack set tasks = (select json_group_array(json(each.value))");
      rest.append(each).append(" not in (").append(list).append(")) where run = ?1 and call = ?2 and exists (select 1");
      rest.append(each).append(" in (").append(list).append("))");
    }
    statements.emplace_back("delete from pack where run = ?1 and call = ?2 and tasks = '[]'");
    change(controller, statements, {call.first, static_cast<std::int64_t>(call.second)});
  }
}

namespace {

// Removes the runs of which that is so; `?1` is the value.
void purge_runs(Controller& controller, const std::string& which, const Hub::Value& value) {
  std::vector<std::string> statements;
  for (const char* const table : {"engine", "call", "task", "retry", "pack", "code", "kept", "output"})
    statements.push_back(std::string("delete from ") + table + " where run in (select id from run where " + which + ")");
  statements.push_back("delete from run where " + which);
  change(controller, statements, {value});
}

}  // namespace

void purge_run(Controller& controller, std::int64_t run) {
  if (run == controller::number_of_run(controller, 0))
    throw UsageError("run " + std::to_string(run) + " is this one, which is being written: purge() takes its tasks");
  purge_runs(controller, "id = ?1", run);
}

void purge_before(Controller& controller, Metadata::Time time) {
  const std::string others = "id != " + std::to_string(controller::number_of_run(controller, 0));
  purge_runs(controller, others + " and coalesce(ended, began) < ?1", Seconds(time.time_since_epoch()).count());
}

namespace {

void check_type(const std::string& found, const std::type_info& wanted, const std::string& whose) {
  if (found != wanted.name())
    throw TypeError("the result of " + whose + " is a " + engine::type_name(found.c_str()) + ", not a " + engine::type_name(wanted));
}

// Of a call of this run that is still known; nothing if its results are not there any more, or never were.
std::optional<std::string> result_here(Controller& controller, const TaskId& task, const std::type_info& type) {
  const std::shared_ptr<Call> call = controller.named({{}, task});
  if (call == nullptr || !can_be_kept(*call) || call->life().subtask || call->life().abandoned) return std::nullopt;
  check_type(call->function.thunk->result->name(), type, "task " + to_string(task));
  // Where code of the user's reads results, the others have to be in their places, too.
  call->plain ? wait(*call, task.item, {}) : wait(*call, {});
  if (const std::exception_ptr error = error_of(*call, task.item)) std::rethrow_exception(error);
  Writer out;
  out.flat = true;
  if (call->plain) {
    controller.locked([&] { call->save(task.item, out); });
  } else {
    call->save(task.item, out);
  }
  const auto bytes = out.bytes.bytes();
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace

std::string find_result(Controller& controller, const TaskOfRun& task, const std::type_info& type) {
  if (task.run == 0) {
    if (auto found = result_here(controller, task.task, type)) return *found;
  }
  const std::int64_t run = controller::number_of_run(controller, task.run);
  const std::string whose = controller::shown(run, task.task);
  const controller::TaskArchive::Values place{run, static_cast<std::int64_t>(task.task.call), static_cast<std::int64_t>(task.task.item)};
  const Table kept = controller::ask(controller,
                                     "select kept.value, code.result from kept join code on code.run = kept.run and code.call = kept.call "
                                     "where kept.run = ? and kept.call = ? and kept.item = ? and kept.value is not null",
                                     place);
  if (!kept.rows.empty()) {
    check_type(kept.rows[0][1].value_or(""), type, whose);
    return kept.rows[0][0].value_or("");
  }
  const Table known = controller::ask(controller, "select status, error from tasks where run = ? and call = ? and item = ?", place);
  if (known.rows.empty()) throw UsageError(whose + " is not in the hub: it has not ended, never was, or has been purged");
  switch (status_in(known.rows[0][0])) {
    case Status::failed:
      throw Error(whose + " failed: " + known.rows[0][1].value_or(""));
    case Status::aborted:
      throw TaskAborted(whose + " was given up: " + known.rows[0][1].value_or(""));
    default:
      throw UsageError("the result of " + whose +
                       " was not kept: for that the run that makes it needs Options::keep = rv::Keep::all, or RANKVIEW_KEEP=all");
  }
}

void throw_unreadable(const TaskOfRun& task, const std::type_info& type) {
  throw DecodeError("the result of task " + to_string(task.task) + (task.run == 0 ? "" : " of run " + std::to_string(task.run)) +
                    ", which was kept, cannot be read as a " + engine::type_name(type) +
                    ", so that type has changed: " + wire::error_text(caught()));
}

}  // namespace rankview::detail

// What follows when engines die.
namespace rankview::inline abi_0_1::detail {
namespace {

// Runs what the client wants done when an engine is lost.
class Telling final : public Continuation {
 public:
  Telling(std::vector<controller::Losses::Listener> listeners, LostEngine lost)
      : listeners_(std::move(listeners)), lost_(std::move(lost)) {}

  void run() noexcept override {
    // What it throws ends the program, as in any thread.
    for (const auto& listener : listeners_) (*listener)(lost_);
  }

 private:
  std::vector<controller::Losses::Listener> listeners_;
  LostEngine lost_;
};

}  // namespace

// What the dead have said before comes first: their results count.
void Controller::hear_signs() {
  constexpr int flood = 10'000;
  for (int i = 0; i < flood && engines_.endpoint().poll(*this); ++i) continue;
  for (const liveness::Sign& sign : settings_.signs->take()) {
    const int engine = engines_.by_peer(sign.peer);
    switch (sign.kind) {
      case liveness::Sign::Kind::died:
        lose(engine, sign);
        break;
      case liveness::Sign::Kind::silent:
        run_.open() ? set_aside(engine, sign) : give_up(engine, sign);
        break;
      case liveness::Sign::Kind::answers:
        take_back(engine);
        break;
    }
  }
  advance();
}

void Controller::lose(int engine, const liveness::Sign& sign) {
  const int peer = engines_[engine].peer;
  if (!engines_.lose(engine)) return;
  const bool first = !engines_.losses().any();
  LostEngine& lost = engines_.losses().note(engine, sign, false);
  if (first && !settings_.ends_with_an_engine.empty())
    std::fprintf(stderr, "rankview: %s; %s\n", engines_.losses().describe(engine).c_str(), settings_.ends_with_an_engine.c_str());
  engines_.endpoint().forget(peer);
  transfers_.forget(peer);
  retries_.forget_expired(engine);
  // Those as well that do not answer just now, who may wait for the dead when they go on.
  for (int other = 0; other < engines_.count(); ++other) {
    if (!engines_.lost(other) && !engines_.has_left(other)) wire::write(engines_.to(other), wire::Lost{engine});
  }
  forget_results_on(engine);

  // Nobody's part in them comes about.
  for (const std::shared_ptr<Call>& call : teams_.lose(engine)) {
    RANKVIEW_MARK(root_part_lost);
    call->life().failure = engines_.losses().error(engine, {call->id, 0}, "what it did together with others has not come about");
    end_root_part(*call);
  }
  const auto gone = queue_.scheduler().lose_engine(engine);
  std::vector<TaskId> had;
  const auto add = [&](std::uint64_t number, std::uint64_t item) {
    const Call* const call = calls_.find(number);
    if (call == nullptr || item >= call->life().items.size()) return;
    const ItemRecord& record = call->life().items[item];
    const bool shared = call->spread == Spread::teams;
    if (record.status == Status::handed_out && (record.engine == engine || shared)) had.push_back({number, item});
  };
  for (const scheduler::Range& range : gone.in_hand) {
    for (std::uint64_t item = range.begin; item < range.end; ++item) add(range.call, item);
  }
  for (const TaskId& task : engines_.losses().late().lose(engine)) add(task.call, task.item);
  const std::string death = engines_.losses().describe(engine);
  // Who could not tell what it ran, ran one of these.
  const bool known = sign.task.call != 0 || had.size() == 1;
  bool blamed = false;
  for (const TaskId& task : had) {
    Call& call = *calls_.find(task.call);
    bool ran = sign.task.call != 0 ? task == sign.task : had.size() == 1;
    if (!known && !blamed) ran = controller::RetryPolicy::suspect(call, task.item);
    blamed = blamed || ran;
    lose_item(call, task.item, engine, ran, !known, death, lost);
  }
  // Their values were on the way.
  for (const TaskId& task : transfers_.take_lost()) {
    RANKVIEW_MARK(result_lost_on_its_way);
    if (Call* const call = calls_.find(task.call)) lose_item(*call, task.item, engine, false, false, death, lost);
  }
  for (const scheduler::Range& range : gone.stranded) strand(range, engine);
  tell_lost(lost);
}

void Controller::tell_lost(const LostEngine& lost) {
  if (settings_.recorder != nullptr) settings_.recorder->engine_lost(lost);
  if (!engines_.losses().listeners().empty()) work_.continuations().add(std::make_shared<Telling>(engines_.losses().listeners(), lost));
}

// The engine does not answer: what it had others run, if they may, and what only it may run waits for it.
void Controller::set_aside(int engine, const liveness::Sign& sign) {
  if (!engines_.live(engine) || engines_.has_left(engine)) return;
  RANKVIEW_MARK(set_aside);
  engines_.set_aside(engine);
  LostEngine& lost = engines_.losses().note(engine, sign, true);
  for (const scheduler::Range& range : queue_.scheduler().set_aside(engine)) {
    Call* const call = calls_.find(range.call);
    if (call == nullptr) continue;
    const detail::Terms& terms = *call->life().terms;
    const bool elsewhere = call->spread == Spread::pool && run_.open() && terms.on_engine_death == OnEngineDeath::rerun;
    for (std::uint64_t item = range.begin; item < range.end; ++item) {
      const ItemRecord& record = call->life().items[item];
      // The first engine of a team stands for all.
      const bool there = record.status == Status::handed_out && (record.engine == engine || call->spread == Spread::teams);
      // Its arguments may just be encoded for there.
      if (record.status == Status::waiting) continue;
      engines_.losses().late().add(engine, {call->id, item}, elsewhere || !there);
      if (!there || !elsewhere) continue;
      ++lost.rerun;
      wire::write(engines_.to(engine), wire::Stop{call->id, item, 1});
      ledger_.failed(*call, item);
      resubmit(*call, item);
    }
  }
  tell_lost(lost);
}

// The run ends, and the engine does not answer: nobody waits for it any more.
void Controller::give_up(int engine, const liveness::Sign& sign) {
  if (engines_.lost(engine) || engines_.has_left(engine)) return;
  if (settings_.put_down) settings_.put_down(engines_[engine].rank);
  lose(engine, sign);
}

void Controller::take_back(int engine) {
  if (engines_.live(engine) || engines_.lost(engine)) return;
  RANKVIEW_MARK(taken_back);
  engines_.take_back(engine);
  engines_.losses().forget(engine);
  queue_.scheduler().take_back(engine);
  tell_suspended(engine);
}

// A task that the engine had and has not ended.
void Controller::lose_item(Call& call, std::uint64_t item, int engine, bool ran, bool suspect, const std::string& death, LostEngine& lost) {
  if (call.life().items[item].status != Status::handed_out) return;
  const TaskId task{call.id, item};
  // What its task has submitted is nobody's any more.
  const auto& subtasks = *call.life().more->subtasks;
  for (auto at = subtasks.lower_bound({item, 0}); at != subtasks.end() && at->first == item;) {
    Call* const subtask = calls_.find((at++)->second);
    if (subtask != nullptr) mark_aborted(*subtask);
  }
  if (given_up(call, item)) {
    ledger_.finished(call, item, Status::aborted, task_aborted(task, "aborted while it ran, and its engine has died"));
    return;
  }
  if (call.spread == Spread::teams) {
    lose_part_of_team(call, item, engine, ran, suspect, death, lost);
    return;
  }
  const bool elsewhere = call.spread == Spread::pool && run_.open();
  const auto verdict = controller::Losses::judge(call, item, ran, suspect, death);
  if (elsewhere && verdict == controller::Losses::Verdict::rerun) {
    ++lost.rerun;
    ledger_.failed(call, item);
    resubmit(call, item);
    return;
  }
  ++lost.failed;
  ledger_.ended(call, item, Status::failed,
                engines_.losses().error(engine, task, elsewhere ? why_failed(call, item) : "the task was for that engine"));
}

// Why a task that others could run is not run again.
std::string Controller::why_failed(const Call& call, std::uint64_t item) const {
  if (call.life().terms->on_engine_death == OnEngineDeath::fail)
    return "the task may have begun there, and its flags say that it is not to be run again (on_engine_death)";
  if (!run_.open()) return "the run ends";
  return "engines that have died of this task: " + std::to_string(call.life().terms->crash_limit) + " (crash_limit)" +
         controller::RetryPolicy::list_deaths(call, item);
}

// The others of the team that ran the task still have to end it, by their own deaths if they wait for this one in MPI: these are no fault
// of the task's.
void Controller::lose_part_of_team(Call& call, std::uint64_t item, int engine, bool ran, bool suspect, const std::string& death,
                                   LostEngine& lost) {
  const bool failed_before = call.life().more->team_items->at(item).error != nullptr;
  const bool again =
      !failed_before && (controller::ItemLedger::is_again_behind_team(call, item) ||
                         (run_.open() && controller::Losses::judge(call, item, ran, suspect, death) == controller::Losses::Verdict::rerun));
  if (again) {
    ++lost.rerun;
    ledger_.again_behind_team(call, item);
    ledger_.finished(call, item, Status::failed, nullptr);
    return;
  }
  ++lost.failed;
  const std::string why = "others ran the task together with it; " + why_failed(call, item);
  ledger_.finished(call, item, Status::failed, engines_.losses().error(engine, {call.id, item}, why));
}

// If none is whole of the teams that may run the call's tasks, others are made of those of its view that live.
void Controller::deal_teams_anew(Call& call) {
  if (!engines_.losses().any() || somebody_left(call)) return;
  std::vector<int> live = call.engines;
  std::erase_if(live, [this](int id) { return engines_.lost(id); });
  const std::size_t size = call.life().more->teams.front().size();
  if (live.size() < size) return;
  RANKVIEW_MARK(teams_dealt_anew);
  Uncommon& more = call.life().more.edit();
  more.teams.clear();
  for (auto at = live.begin(); static_cast<std::size_t>(live.end() - at) >= size; at += static_cast<std::ptrdiff_t>(size))
    more.teams.emplace_back(at, at + static_cast<std::ptrdiff_t>(size));
  more.team_numbers.reset();
}

// Items that wait, and that nobody is left to run where they stood in a queue.
void Controller::strand(const scheduler::Range& range, int engine) {
  Call* const call = calls_.find(range.call);
  if (call == nullptr) return;
  // Rank 0 has no part in what nobody was handed.
  if (call->spread == Spread::together && call->life().team == 0) ledger_.seal(*call);
  for (std::uint64_t item = range.begin; item < range.end; ++item) {
    if (call->life().items[item].status != Status::waiting) continue;
    const bool was_bound = call->life().more->deferred.placed >= 0;
    if ((was_bound && call->spread == Spread::pool) || call->spread == Spread::teams) {
      RANKVIEW_MARK(stranded_item_moved);
      resubmit(*call, item);
    } else {
      const int missing = engine >= 0 ? engine : missing_engine(*call, item);
      ledger_.ended(*call, item, Status::failed, engines_.losses().error(missing, {call->id, item}, "nobody is left to run the task"));
    }
  }
}

// What could not be put into any queue, since who was to run it has died.
void Controller::settle_strays() {
  for (const scheduler::Range& range : queue_.take_stranded()) strand(range, -1);
  for (const TaskId& task : ledger_.take_left_by_teams()) {
    if (Call* const call = calls_.find(task.call)) resubmit(*call, task.item);
  }
  for (const TaskId& task : dispatcher_.take_orphans()) {
    Call* const call = calls_.find(task.call);
    if (call != nullptr && call->life().items[task.item].status == Status::waiting) resubmit(*call, task.item);
  }
  for (const TaskId& task : transfers_.take_lost()) {
    Call* const call = calls_.find(task.call);
    if (call == nullptr) continue;
    const int engine = call->life().items[task.item].engine;
    LostEngine& lost = engines_.losses().at(engine);
    lose_item(*call, task.item, engine, false, false, engines_.losses().describe(engine), lost);
  }
}

// An engine that an item was for and that has died.
int Controller::missing_engine(const Call& call, std::uint64_t item) const {
  if (!in_pool(call) && engines_.lost(call.engines[item])) return call.engines[item];
  for (const std::vector<int>& team : call.life().more->teams) {
    if (team.front() != call.life().items[item].engine) continue;
    const auto gone = std::find_if(team.begin(), team.end(), [this](int id) { return engines_.lost(id); });
    if (gone != team.end()) return *gone;
  }
  const auto dead = std::find_if(call.engines.begin(), call.engines.end(), [this](int id) { return engines_.lost(id); });
  return dead != call.engines.end() ? *dead : engines_.losses().list().back().engine;
}

// Long results that it has kept are on rank 0 as well, and come from there.
void Controller::forget_results_on(int engine) {
  calls_.for_each_known([engine](Call& call) {
    if (call.life().cached_on == engine) call.life().cached_on = -1;
  });
}

}  // namespace rankview::detail

namespace rankview::controller {

LostEngine& Losses::note(int engine, const liveness::Sign& sign, bool aside) {
  const EngineInfo& info = engines_[engine];
  LostEngine& lost = lost_[engine];
  any_.store(true, std::memory_order_release);
  lost.engine = engine;
  lost.rank = info.rank;
  lost.host = info.host;
  lost.pid = info.pid;
  lost.seen = sign.seen;
  lost.signal = sign.signal;
  lost.aside = aside;
  lost.when = std::chrono::system_clock::now();
  return lost;
}

std::vector<LostEngine> Losses::list() const {
  std::vector<LostEngine> all;
  for (const auto& [engine, lost] : lost_) all.push_back(lost);
  return all;
}

std::uint64_t Losses::deaths() const {
  return static_cast<std::uint64_t>(std::count_if(lost_.begin(), lost_.end(), [](const auto& lost) { return !lost.second.aside; }));
}

std::string Losses::describe(int engine) const {
  const LostEngine& lost = lost_.at(engine);
  return "engine " + std::to_string(engine) + " (rank " + std::to_string(lost.rank) + " on " + lost.host + ", process " +
         std::to_string(lost.pid) + ") has " + (lost.aside ? "fallen silent: " : "died: ") + lost.seen;
}

std::exception_ptr Losses::error(int engine, const TaskId& task, const std::string& why) const {
  const EngineInfo& info = engines_[engine];
  const std::string place = task.call == 0 ? "" : "task " + to_string(task) + ": ";
  return std::make_exception_ptr(
      EngineError(place + describe(engine) + (why.empty() ? "" : "; ") + why, TaskPlace{engine, info.rank, info.host, info.pid, task}));
}

Losses::Verdict Losses::judge(detail::Call& call, std::uint64_t item, bool ran, bool suspect, const std::string& death) {
  const detail::Terms& terms = *call.life().terms;
  if (terms.on_engine_death == OnEngineDeath::fail) return Verdict::fail;
  if (!ran && !suspect) return Verdict::rerun;
  detail::Attempts& attempts = call.life().more.edit().attempts.edit()[item];
  attempts.suspect = attempts.suspect || suspect;
  if (!ran) {
    RANKVIEW_MARK(death_on_suspicion);
    return Verdict::rerun;
  }
  attempts.deaths.push_back(death);
  if (attempts.deaths.size() < static_cast<std::size_t>(terms.crash_limit)) return Verdict::rerun;
  RANKVIEW_MARK(crash_limit_reached);
  return Verdict::fail;
}

}  // namespace rankview::controller

namespace rankview::controller {

using detail::Call;
using detail::Checkpointed;
using detail::Recalled;

namespace {

const Checkpointed& checkpointed(const Call& call) { return *call.life().more->checkpointed; }

// Puts a value in its place. The error if that throws.
std::exception_ptr load(Call& call, std::uint64_t item, std::span<const std::byte> value) noexcept {
  try {
    detail::Reader in(value, detail::Flat());
    call.load(item, in);
    if (!in.done()) throw DecodeError("it is longer than such a value");
    return nullptr;
  } catch (...) {
    return std::make_exception_ptr(
        DecodeError("the result of task " + to_string(TaskId{call.id, item}) + " that is kept in " + checkpointed(call).in->directory() +
                    " cannot be read, so its type has changed (Flags::version): " + wire::error_text(detail::caught())));
  }
}

std::exception_ptr failed_before(std::span<const std::byte> why) {
  return std::make_exception_ptr(
      Error("the task failed in an earlier run: " + std::string(reinterpret_cast<const char*>(why.data()), why.size())));
}

// As errors of the items of `found`, null for those that have a value.
std::vector<std::exception_ptr> load_all(Call& call, std::uint64_t first, const Recalled& found) {
  std::vector<std::exception_ptr> errors;
  errors.reserve(found.parts.size());
  auto rest = found.bytes.bytes();
  for (const Recalled::Part& part : found.parts) {
    const auto value = rest.first(part.size);
    rest = rest.subspan(part.size);
    errors.push_back(part.failed ? failed_before(value) : load(call, first + errors.size(), value));
  }
  return errors;
}

}  // namespace

// Encodes a value by code of the user's.
class ResultKeeper::Saving final : public UserWork::Piece {
 public:
  Saving(ResultKeeper& keeper, Call& call, std::uint64_t item) : Piece(call.life().self), keeper_(keeper), item_(item) { out_.flat = true; }

  void run() noexcept override {
    try {
      call().save(item_, out_);
    } catch (...) {
      error_ = detail::with_text(detail::caught());
    }
  }
  void finish() override {
    if (error_.error == nullptr) {
      keeper_.add(call(), item_, out_.bytes.bytes());
    } else {
      keeper_.end(call(), item_, detail::keep(call(), std::move(error_)));
    }
  }

 private:
  ResultKeeper& keeper_;
  std::uint64_t item_;
  detail::Writer out_;
  detail::ToldError error_;
};

// Reads values by code of the user's.
class ResultKeeper::Recalling final : public UserWork::Piece {
 public:
  Recalling(ResultKeeper& keeper, Call& call, std::uint64_t first, Recalled&& found)
      : Piece(call.life().self),
        keeper_(keeper),
        first_(first),
        total_(call.life().items.size()),
        expected_(call.life().items.capacity()),
        found_(std::move(found)) {}

  void run() noexcept override {
    try {
      call().grow(total_, expected_);
      errors_ = load_all(call(), first_, found_);
    } catch (...) {
      no_room_ = detail::with_text(detail::caught());
    }
  }
  void finish() override {
    if (no_room_.error != nullptr) errors_.assign(found_.parts.size(), detail::keep(call(), std::move(no_room_)));
    for (std::size_t i = 0; i < errors_.size(); ++i) keeper_.end(call(), first_ + i, std::move(errors_[i]));
  }

 private:
  ResultKeeper& keeper_;
  std::uint64_t first_;
  std::uint64_t total_;
  std::uint64_t expected_;
  Recalled found_;
  std::vector<std::exception_ptr> errors_;
  detail::ToldError no_room_;
};

void ResultKeeper::keep(Call& call, std::uint64_t item) {
  if (!call.plain) {
    work_.add(std::make_unique<Saving>(*this, call, item));
    return;
  }
  detail::Writer out;
  out.flat = true;
  call.save(item, out);
  add(call, item, out.bytes.bytes());
}

void ResultKeeper::add(Call& call, std::uint64_t item, std::span<const std::byte> value) {
  if (recorder_ != nullptr && detail::can_be_kept(call)) recorder_->ending(call, item, &value);
  if (!call.life().checkpointed) {
    end(call, item, nullptr);
    return;
  }
  const Checkpointed& in = checkpointed(call);
  const std::uint64_t addition = in.in->add(in.callable, in.keys[item], value);
  if (in.strict) {
    waiting_.push_back({call.life().self, item, addition});
  } else {
    end(call, item, nullptr);
  }
}

void ResultKeeper::end(Call& call, std::uint64_t item, std::exception_ptr error) {
  const Status status = error ? Status::failed : Status::completed;
  ledger_.finished(call, item, status, std::move(error));
}

void ResultKeeper::recall(Call& call, std::uint64_t first, Recalled&& found) {
  if (!call.plain) {
    work_.add(std::make_unique<Recalling>(*this, call, first, std::move(found)));
    return;
  }
  std::vector<std::exception_ptr> errors = load_all(call, first, found);
  for (std::size_t i = 0; i < errors.size(); ++i) end(call, first + i, std::move(errors[i]));
}

bool ResultKeeper::progress() {
  bool any = false;
  while (!waiting_.empty()) {
    checkpoint::Checkpoint& in = *checkpointed(*waiting_.front().call).in;
    const std::uint64_t addition = waiting_.front().addition;
    const bool added = addition != checkpoint::Checkpoint::not_added;
    const bool on_disk = added && in.durable() >= addition;
    if (!on_disk && added && !in.troubled()) break;
    Waiting ready = std::move(waiting_.front());
    waiting_.pop_front();
    end(*ready.call, ready.item,
        on_disk ? nullptr
                : std::make_exception_ptr(
                      Error("task " + to_string(TaskId{ready.call->id, ready.item}) +
                            " has a result, which is not handed out since it cannot be kept (Flags::durable): " + in.trouble())));
    work_.leave(std::move(ready.call));
    any = true;
  }
  return any;
}

}  // namespace rankview::controller

namespace rankview::controller {

using detail::Call;
using detail::Claims;

// Values of one call, of one message, whose reading runs code of the user's.
class ResultTransfers::Reading final : public UserWork::Piece {
 public:
  Reading(ResultTransfers& transfers, const transport::Frame& frame, Call& call)
      : Piece(call.life().self),
        transfers_(transfers),
        total_(call.life().items.size()),
        expected_(call.life().items.capacity()),
        attachment_sizes_(frame.attachment_sizes.begin(), frame.attachment_sizes.end()) {
    frame_.peer = frame.peer;
    frame_.tag = frame.tag;
    frame_.attachment_sizes = attachment_sizes_;
    // What comes from this process is attached to the message itself.
    if (frame.local != nullptr && !attachment_sizes_.empty()) {
      local_ = std::move(*frame.local);
      frame_.local = &local_;
    }
  }

  void add(std::uint64_t item, std::span<const std::byte> value) {
    values_.push_back({item, bytes_.size(), value.size(), Claims(attachment_sizes_), nullptr});
    bytes_.append(value.data(), value.size());
  }

  void run() noexcept override {
    try {
      call().grow(total_, expected_);
    } catch (...) {
      no_room_ = detail::with_text(detail::caught());
      for (Value& value : values_) value.error = no_room_.error;
      return;
    }
    for (Value& value : values_) value.error = read(call(), value.item, bytes_.bytes().subspan(value.offset, value.size), value.claims);
  }
  void finish() override {
    detail::keep(call(), std::move(no_room_));
    for (Value& value : values_) transfers_.has_read(frame_, call(), value.item, value.claims.places(), std::move(value.error));
  }

 private:
  struct Value {
    std::uint64_t item;
    std::size_t offset;
    std::size_t size;
    Claims claims;
    std::exception_ptr error;
  };

  ResultTransfers& transfers_;
  const std::uint64_t total_;  // items of the call
  const std::uint64_t expected_;
  std::vector<std::uint64_t> attachment_sizes_;
  transport::Frame frame_;
  detail::Writer local_;
  detail::Buffer bytes_;
  std::vector<Value> values_;
  detail::ToldError no_room_;
};

ResultTransfers::ResultTransfers(transport::Endpoint& endpoint, const transport::Clock& clock, ItemLedger& ledger, UserWork& work,
                                 ResultKeeper& keeper)
    : endpoint_(endpoint), clock_(clock), ledger_(ledger), work_(work), keeper_(keeper) {}

ResultTransfers::~ResultTransfers() = default;

void ResultTransfers::receive_any(transport::Frame& frame, Call& call, std::uint64_t item, std::span<const std::byte> value) {
  const bool wanted = reads_results(call);
  if (!call.plain && wanted) {
    if (collecting_ == nullptr) collecting_ = std::make_unique<Reading>(*this, frame, call);
    collecting_->add(item, value);
    return;
  }
  Claims claims(frame.attachment_sizes);
  std::exception_ptr error;
  if (wanted) error = read(call, item, value, claims);
  has_read(frame, call, item, claims.places(), std::move(error));
}

void ResultTransfers::flush() {
  if (collecting_ != nullptr) work_.add(std::move(collecting_));
}

void ResultTransfers::has_read(const transport::Frame& frame, Call& call, std::uint64_t item, const std::vector<Claims::Place>& places,
                               std::exception_ptr error) {
  if (frame.attachment_sizes.empty()) {
    arrived(call, item, std::move(error));
    return;
  }
  if (std::find(forgotten_.begin(), forgotten_.end(), frame.peer) != forgotten_.end()) {
    lost_.push_back({call.id, item});
    return;
  }
  const bool wanted = error == nullptr && places.size() == frame.attachment_sizes.size();
  auto transfer = endpoint_.receive(frame, wanted ? places : std::vector<Claims::Place>());
  under_way_.push_back({frame.peer, std::move(transfer), call.life().self, item, std::move(error)});
}

// All of a value is there, or it cannot be read.
void ResultTransfers::arrived(Call& call, std::uint64_t item, std::exception_ptr error) {
  if (call.life().saves && error == nullptr) {
    keeper_.keep(call, item);
  } else {
    const Status status = error ? Status::failed : Status::completed;
    ledger_.finished(call, item, status, std::move(error));
  }
}

// Why a value cannot be read, from within the catch.
std::exception_ptr ResultTransfers::unreadable(const Call& call, std::uint64_t item) {
  return std::make_exception_ptr(DecodeError("the result of task " + to_string(TaskId{call.id, item}) + " from engine " +
                                             std::to_string(call.life().items[item].engine) +
                                             " cannot be read: " + wire::error_text(detail::caught())));
}

bool ResultTransfers::writing(const Call& call) const {
  return std::any_of(under_way_.begin(), under_way_.end(), [&call](const Incoming& incoming) { return incoming.call.get() == &call; });
}

void ResultTransfers::forget(int peer) {
  forgotten_.push_back(peer);
  std::erase_if(unwanted_, [peer](const auto& transfer) { return transfer.first == peer; });
  for (Incoming& incoming : under_way_) {
    if (incoming.peer != peer) continue;
    lost_.push_back({incoming.call->id, incoming.item});
    incoming.transfer.reset();
    work_.leave(std::move(incoming.call));
  }
  std::erase_if(under_way_, [peer](const Incoming& incoming) { return incoming.peer == peer; });
}

void ResultTransfers::drop(const transport::Frame& frame) { unwanted_.emplace_back(frame.peer, endpoint_.receive(frame, {})); }

bool ResultTransfers::progress() {
  bool any = false;
  std::erase_if(unwanted_, [](const auto& transfer) { return transfer.second->done(); });
  for (std::size_t i = 0; i < under_way_.size();) {
    if (!under_way_[i].transfer->done()) {
      ++i;
      continue;
    }
    Incoming incoming = std::move(under_way_[i]);
    under_way_.erase(under_way_.begin() + static_cast<std::ptrdiff_t>(i));
    Call& call = *incoming.call;
    detail::ItemRecord& record = call.life().items[incoming.item];
    record.received = clock_.now();
    call.life().last_received = record.received;
    if (call.keeps && !incoming.error) call.life().cached_on = record.engine;
    arrived(call, incoming.item, incoming.error);
    if (!reads_results(call) && !writing(call)) discard_results(work_, call);
    work_.leave(std::move(incoming.call));
    any = true;
  }
  return any;
}

}  // namespace rankview::controller

namespace rankview::controller {

using detail::Attempts;
using detail::Call;

namespace {

const Attempts& attempts_at(const Call& call, std::uint64_t item) {
  static const Attempts none;
  const auto found = call.life().more->attempts->find(item);
  return found == call.life().more->attempts->end() ? none : found->second;
}

}  // namespace

bool RetryPolicy::retry_after(Call& call, std::uint64_t item, int engine, const std::exception_ptr& error) {
  if (call.life().terms->retries == 0 || !run_.open() || given_up(call, item)) return false;
  Attempts& attempts = call.life().more.edit().attempts.edit()[item];
  if (attempts.errors.size() >= static_cast<std::size_t>(call.life().terms->retries)) {
    RANKVIEW_MARK(retries_used_up);
    return false;
  }
  attempts.errors.push_back(wire::error_text(error));
  attempts.tried.push_back(engine);
  return true;
}

void RetryPolicy::note_refusal(Call& call, std::uint64_t item, int engine) {
  call.life().more.edit().attempts.edit()[item].refused.push_back(engine);
}

scheduler::Avoid RetryPolicy::avoid(const Call& call, std::uint64_t item) {
  const Attempts& attempts = attempts_at(call, item);
  return {attempts.tried, attempts.refused};
}

bool RetryPolicy::suspect(const Call& call, std::uint64_t item) { return attempts_at(call, item).suspect; }

std::string RetryPolicy::list_deaths(const Call& call, std::uint64_t item) {
  std::string lines;
  for (const std::string& death : attempts_at(call, item).deaths) lines += "\n  " + death;
  return lines;
}

std::vector<std::string> RetryPolicy::earlier_errors(const Call& call, std::uint64_t item) { return attempts_at(call, item).errors; }

}  // namespace rankview::controller

// The order of a round, and what follows from the ends of items.
namespace rankview::inline abi_0_1::detail {

bool Controller::round() {
  if (!run_.connected()) return false;
  bool any = engines_.endpoint().poll(*this);
  if (engines_.endpoint().anything_sent()) work_.leave(engines_.endpoint().take_sent());
  if (!transfers_.empty()) any = transfers_.progress() || any;
  if (!keeper_.empty()) any = keeper_.progress() || any;
  if (!teams_.idle()) any = teams_.progress(engines_.endpoint(), engines_, work_, [this](Call& call) { end_root_part(call); }) || any;
  if (!queue_.timers().empty()) check_timers();
  if (!stuck_teams_.empty()) stuck_teams_.check(now());
  if (settings_.signs != nullptr && settings_.signs->any()) hear_signs();
  if (shares_.any_to_look_at()) any = look_at_shares() || any;
  if (any_strays() || gate_.decided() || ledger_.any_over() || queue_.scheduler().waiting() != 0 || engines_.anything_to_send()) advance();
  // What could be handed out instead has been.
  if (queue_.scheduler().unbalanced()) recall();
  return any;
}

// Goes on with whatever has become possible, and sends. What waited for a call is on its way before that call's end is seen to; but a task
// that waits for a subtask goes on before its engine is given others.
void Controller::advance() {
  const bool sends = run_.connected() && driver_.may_drive();
  do {
    decide();
    if (!sends) continue;
    answer_subtasks();
    if (queue_.scheduler().waiting() != 0) dispatcher_.dispatch();
    engines_.send_all();
  } while (end_calls());
  if (sends) engines_.send_all();
}

// What follows from the ends of items: calls that waited go on or fail, which may end others in turn, and calls that are over end. In this
// order, so that a call can still be asked why another that waited for it fails.
void Controller::carry_out() {
  do {
    decide();
  } while (end_calls());
}

void Controller::decide() {
  if (any_strays()) settle_strays();
  while (gate_.decided()) {
    auto decision = gate_.next();
    if (decision.call == nullptr) continue;
    if (decision.met) {
      release(*decision.call, std::move(decision.engines));
    } else {
      fail_impossible(*decision.call, decision.cause);
    }
  }
}

// Tells engines what their tasks wait for, of calls that are over.
void Controller::answer_subtasks() {
  ledger_.for_each_over([this](Call& over) {
    if (!over.life().subtask || std::exchange(over.life().answered, true)) return;
    controller::answer_subtask(engines_, over);
  });
}

// Ends calls until others may go on or fail because of it. Whether any may.
bool Controller::end_calls() {
  if (!ledger_.any_over()) return gate_.decided();
  while (!gate_.decided()) {
    Call* const over = ledger_.next_over();
    if (over == nullptr) return false;
    end(*over);
  }
  return true;
}

// A call has been made that nobody is about to wait for. Whoever makes call after call and waits for none keeps things going.
void Controller::attend(std::int64_t submitted) {
  constexpr int most_rounds = 8;
  carry_out();
  const bool somebody_could_begin = engines_.anything_to_send() || (queue_.scheduler().any_idle() && queue_.scheduler().waiting() != 0);
  if (driver_.holds_back(submitted, somebody_could_begin)) return;
  advance();
  driver_.catch_up(most_rounds);
  // Continuations are for the progress thread.
  if (work_.continuations().empty()) driver_.note_attended();
}

// Asks engines for items that they have not begun and others could run now.
void Controller::recall() {
  const std::int64_t time = now();
  if (!queue_.recall_due(time)) return;
  while (const auto recall = queue_.scheduler().recall(time)) ask_back(*recall);
  engines_.send_all();
}

void Controller::ask_back(const scheduler::Recall& recall) {
  wire::Recall record;
  for (const scheduler::Range& range : recall.ranges)
    record.items.push_back({range.call, range.begin, range.end - range.begin, range.whole ? 1U : 0U});
  wire::write(engines_.to(recall.engine), record);
}

// Calls whose items have waited for too long.
void Controller::check_timers() {
  const std::int64_t time = now();
  while (const auto due = queue_.timers().next(time)) {
    Call* const call = calls_.find(*due);
    if (call == nullptr) continue;
    withdraw(*call, Status::failed, [&](const TaskId& task) {
      return std::make_exception_ptr(TimeoutError("task " + to_string(task) + ": waited on rank 0 for longer than its queue_timeout of " +
                                                  in_seconds(call->life().terms->queue_timeout)));
    });
  }
}

// ---- what follows ------------------------------------------------------------------------------------------------------------

// Encodes the arguments of a call's one item, which are all there now.
class Controller::FirstEncoding final : public controller::UserWork::Piece {
 public:
  FirstEncoding(Controller& controller, const Call& waiting)
      : Piece(waiting.life().self), controller_(controller), encode_(waiting.life().more->deferred.encode) {
    block_.count = 1;
  }

  void run() noexcept override {
    try {
      encode_(block_, nullptr);
    } catch (...) {
      error_ = with_text(caught());
    }
  }
  void finish() override {
    CallLife& life = call().life();
    if (!life.in_flight) return;
    block_.unfinished = life.blocks.front().unfinished;
    std::swap(life.blocks.front(), block_);
    controller_.enqueue_released(call(), keep(call(), std::move(error_)));
  }

 private:
  Controller& controller_;
  EncodeArguments encode_;
  ArgumentBlock block_;
  ToldError error_;
};

// What the call waited for is there.
void Controller::release(Call& call, std::vector<int>&& engines) {
  CallLife& life = call.life();
  if (life.aborted) return;
  if (!engines.empty()) call.engines = std::move(engines);
  const Deferred& deferred = life.more->deferred;
  if (deferred.encode && !deferred.plain) {
    work_.add(std::make_unique<FirstEncoding>(*this, call));
    return;
  }
  std::exception_ptr error;
  if (deferred.encode) {
    try {
      deferred.encode(life.blocks.front(), nullptr);
    } catch (...) {
      error = caught();
    }
  }
  enqueue_released(call, error);
}

// What does not go by the number of items may begin before all are there.
void Controller::enqueue_released(Call& call, const std::exception_ptr& error) {
  CallLife& life = call.life();
  if (error != nullptr) {
    ledger_.give_up(call, Status::failed, [&error](const TaskId&) { return error; });
    return;
  }
  if (life.more->deferred.encode) life.more.edit().deferred.placed = dispatcher_.engine_with_arguments(call);
  if (gives_back(call)) {
    give_back(call);
    return;
  }
  const bool all_there = life.laid_out || controller::enqueued_as_they_come(call);
  if (life.ended == 0 && !life.checkpointed) {
    if (all_there) enqueue(call, nullptr);
    return;
  }
  if (all_there) enqueue_rest(call);
}

// Those that were not given up, or found in a checkpoint.
void Controller::enqueue_rest(Call& call) {
  if (call.life().checkpointed && shares_.splits(call)) {
    enqueue_ours(call, 0, call.life().items.size());
    return;
  }
  queue_.enqueue(call);
  for (std::uint64_t item = 0; item < call.life().items.size(); ++item) {
    if (call.life().items[item].status != Status::waiting) queue_.withdraw(call, item);
  }
}

// What the call waited for will never be there, because of what became of one task.
void Controller::fail_impossible(Call& call, const TaskId& cause) {
  const auto error = gate_.impossible(cause);
  if (call.life().laid_out) {
    ledger_.give_up(call, Status::failed, error);
  } else {
    call.life().more.edit().doomed = error({call.id, 0});
  }
}

void Controller::end_root_part(Call& call) {
  work_.leave(std::move(call.root.edit().kept));
  call.life().last_received = now();
  ledger_.seal(call);
}

// The call is over: lets go of all that was there for it, and has done what was to follow.
void Controller::end(Call& call) {
  CallLife& life = call.life();
  std::shared_ptr<Call> unwanted = calls_.end(call);
  if (life.terms->queue_timeout != 0) queue_.timers().note_end([this](std::uint64_t id) { return calls_.find(id) == nullptr; });
  gate_.forget(call);
  leave_teams(call);
  if (run_.connected()) {
    for (const int engine : life.more->object_holders) wire::write(engines_.to(engine), wire::DropCallable{call.id});
    if (life.subtask && !life.answered) controller::answer_subtask(engines_, call);
  }
  if (life.subtask) {
    const TaskId parent = controller::submitter_of(call);
    if (Call* const waiting = calls_.find(parent.call)) waiting->life().more.edit().subtasks.edit().erase({parent.item, call.id});
  }
  if (call.root) {
    work_.leave(std::move(call.root.edit().kept));
    call.root.reset();
  }
  for (ArgumentBlock& block : life.blocks) work_.leave(std::move(block.data.kept));
  std::vector<ArgumentBlock>().swap(life.blocks);
  call.function.object.reset();
  if (life.more) {
    Uncommon& more = life.more.edit();
    if (more.deferred.encode) work_.leave(std::move(more.deferred));
    more.attempts.reset();
  }
  work_.continuations().take(call);
  if (life.abandoned) report_unseen(call);
  if (settings_.recorder != nullptr) settings_.recorder->over(call);
  work_.leave(std::move(unwanted));
}

void Controller::leave_teams(const Call& call) {
  const CallLife& life = call.life();
  if (life.team != 0) teams_.leave(life.team);
  for (const std::vector<int>& team : life.more->teams) {
    if (const auto number = life.more->team_numbers->find(team.front()); number != life.more->team_numbers->end())
      teams_.leave(number->second);
  }
}

}  // namespace rankview::detail

namespace rankview::controller {

using checkpoint::Leases;
using detail::Call;

namespace {

const detail::Checkpointed& kept_of(const Call& call) { return *call.life().more->checkpointed; }
std::uint32_t bucket_of(const Call& call, std::uint64_t item) { return Leases::bucket_of(kept_of(call).keys[item]); }

}  // namespace

Shares::Share& Shares::share_of(const Call& call) { return shares_.at(kept_of(call).in.get()); }

void Shares::add(const std::shared_ptr<checkpoint::Checkpoint>& in) {
  const auto [added, first] = shares_.try_emplace(in.get());
  if (!first) return;
  added->second.in = in;
  // The rest of what there is to know is heard in the next look, which can act on it.
  added->second.splits = in->sharing()->splits();
}

bool Shares::any_to_look_at() const {
  return std::any_of(shares_.begin(), shares_.end(),
                     [](const auto& each) { return each.second.splits || each.first->sharing()->any_news(); });
}

bool Shares::splits(const Call& call) const {
  const auto found = shares_.find(kept_of(call).in.get());
  return found != shares_.end() && found->second.splits;
}

std::size_t Shares::waiting() const {
  std::size_t count = 0;
  for (const auto& [in, share] : shares_) {
    for (const auto& withheld : share.withheld) count += withheld.size();
  }
  return count;
}

std::vector<std::uint64_t> Shares::withhold(const Call& call, std::uint64_t begin, std::uint64_t end) {
  Share& share = share_of(call);
  std::vector<std::uint64_t> ours;
  for (std::uint64_t item = begin; item < end; ++item) {
    if (call.life().items[item].status != Status::waiting) continue;
    const std::uint32_t bucket = bucket_of(call, item);
    const bool releasing = releasing_.contains({call.id, item});
    if (releasing || share.held[bucket]) {
      share.begun[bucket].push_back({call.id, item});
      if (!releasing) ours.push_back(item);
    } else {
      share.withheld[bucket].push_back({call.id, item});
    }
  }
  return ours;
}

void Shares::forget(const checkpoint::Checkpoint* in) {
  Share& share = shares_.at(in);
  for (auto& withheld : share.withheld) withheld.clear();
  for (auto& begun : share.begun) begun.clear();
}

void Shares::note_released(const Call& call, const std::vector<std::uint64_t>& items) {
  for (const std::uint64_t item : items) releasing_.erase({call.id, item});
}

void Shares::note_begun(const Call& call, std::uint64_t item) { share_of(call).begun[bucket_of(call, item)].push_back({call.id, item}); }

void Shares::tell_begun(const checkpoint::Checkpoint* in) {
  Share& share = shares_.at(in);
  std::vector<std::uint32_t> begun;
  for (std::uint32_t bucket = 0; bucket < buckets; ++bucket) {
    if (!share.begun[bucket].empty()) begun.push_back(bucket);
  }
  share.in->sharing()->share(std::move(begun));
}

Shares::Round Shares::look(std::int64_t now, bool needs, std::size_t engines) {
  constexpr std::int64_t period = 50'000'000;     // nanoseconds between two looks at what has ended
  constexpr std::int64_t patience = 500'000'000;  // likewise, between two wishes
  Round round;
  const bool looks = now >= next_look_;
  if (looks) next_look_ = now + period;
  for (auto& [in, share] : shares_) {
    if (in->sharing()->any_news()) hear(share, round);
    if (!share.splits) continue;
    if (looks) give_back_idle(share);
    // Others may have come to wait since.
    if (needs && (!share.wants || now >= share.wanted_at + patience)) want_more(share, now, engines);
  }
  return round;
}

void Shares::hear(Share& share, Round& round) {
  const checkpoint::Sharing::News news = share.in->sharing()->take_news();
  for (const std::uint32_t bucket : news.lost) share.held.reset(bucket);
  for (const std::uint32_t bucket : news.gained) share.held.set(bucket);
  if (news.answered) share.wants = false;
  const bool did = share.splits;
  share.splits = news.splits || news.asked;
  // Who is asked has to answer, also if it has only just come to have all of it, and had waited before.
  if (news.asked || (share.splits && (!did || !news.lost.empty()))) round.to_split.push_back(share.in.get());
  const bool ends = did && !share.splits;
  for (std::uint32_t bucket = 0; bucket < buckets; ++bucket) {
    if (ends || share.held[bucket]) release(share, bucket, round);
  }
  if (!ends) return;
  // All is this job's now.
  share.held.reset();
  for (auto& begun : share.begun) begun.clear();
}

void Shares::release(Share& share, std::uint32_t bucket, Round& round) {
  std::vector<TaskId>& begun = share.begun[bucket];
  for (const TaskId& task : std::exchange(share.withheld[bucket], {})) {
    if (!waits(task)) continue;
    begun.push_back(task);
    releasing_.emplace(task.call, task.item);
    round.released[task.call].push_back(task.item);
  }
}

void Shares::give_back_idle(Share& share) {
  std::vector<std::uint32_t> idle;
  for (std::uint32_t bucket = 0; bucket < buckets; ++bucket) {
    if (!share.held[bucket]) continue;
    std::vector<TaskId>& begun = share.begun[bucket];
    while (!begun.empty() && !runs(begun.back())) begun.pop_back();
    if (!begun.empty()) continue;
    idle.push_back(bucket);
    share.held.reset(bucket);
  }
  if (!idle.empty()) share.in->sharing()->give_back(std::move(idle));
}

// Whoever was submitted first goes first, as far as there are enough.
void Shares::want_more(Share& share, std::int64_t now, std::size_t engines) {
  std::vector<std::tuple<std::uint64_t, std::uint64_t, std::uint32_t>> first;
  for (std::uint32_t bucket = 0; bucket < buckets; ++bucket) {
    std::vector<TaskId>& withheld = share.withheld[bucket];
    if (withheld.empty()) continue;
    if (!waits(withheld.front())) std::erase_if(withheld, [this](const TaskId& task) { return !waits(task); });
    if (!withheld.empty()) first.emplace_back(withheld.front().call, withheld.front().item, bucket);
  }
  if (first.empty()) return;
  std::sort(first.begin(), first.end());
  std::vector<std::uint32_t> order;
  std::size_t most = 0;
  std::size_t items = 0;
  for (const auto& [call, item, bucket] : first) {
    order.push_back(bucket);
    if (items < 2 * engines) ++most;
    items += share.withheld[bucket].size();
  }
  share.wants = true;
  share.wanted_at = now;
  share.in->sharing()->want(std::move(order), most);
}

// Whether it waits for an engine, or for this.
bool Shares::waits(const TaskId& task) const {
  const Call* const call = calls_.find(task.call);
  return call != nullptr && !call->life().aborted && call->life().items[task.item].status == Status::waiting;
}

bool Shares::runs(const TaskId& task) const {
  const Call* const call = calls_.find(task.call);
  return call != nullptr && !detail::has_ended(call->life().items[task.item].status);
}

}  // namespace rankview::controller

// Several jobs that use one checkpoint split its tasks: what is not this job's waits, and may have been done when it becomes so.
namespace rankview::inline abi_0_1::detail {

// Items that are this job's now: looks whether another has done them meanwhile, which takes the disk, and enqueues the others.
class Controller::Release final : public controller::UserWork::Piece {
 public:
  Release(Controller& controller, Call& call, std::vector<std::uint64_t>&& items)
      : Piece(call.life().self), controller_(controller), in_(*call.life().more->checkpointed), items_(std::move(items)) {
    for (const std::uint64_t item : items_) keys_.push_back(in_.keys[item]);
  }

  void run() noexcept override {
    try {
      for (const checkpoint::Key& key : keys_) {
        Recalled& recalled = found_.emplace_back();
        const checkpoint::Found found = in_.in->find(key, recalled.bytes, in_.strict);
        if (found == checkpoint::Found::result || (found == checkpoint::Found::failure && !in_.retry_failed))
          recalled.parts.push_back({key, recalled.bytes.size(), found == checkpoint::Found::failure});
      }
    } catch (...) {
      // There is no memory for what was found: it is done again.
      found_.clear();
    }
  }
  void finish() override {
    CallLife& life = call().life();
    std::vector<std::uint64_t> rest;
    controller_.shares_.note_released(call(), items_);
    for (std::size_t i = 0; i < items_.size(); ++i) {
      const std::uint64_t item = items_[i];
      // It may have been given up.
      if (!life.in_flight || life.items[item].status != Status::waiting) continue;
      if (i >= found_.size() || found_[i].parts.empty()) {
        rest.push_back(item);
        continue;
      }
      controller_.ledger_.granted(call(), item, item + 1, -1);
      controller_.keeper_.recall(call(), item, std::move(found_[i]));
    }
    controller_.enqueue_runs(call(), rest);
  }

 private:
  Controller& controller_;
  const Checkpointed& in_;
  std::vector<std::uint64_t> items_;
  std::vector<checkpoint::Key> keys_;
  std::vector<Recalled> found_;
};

void Controller::enqueue_ours(Call& call, std::uint64_t begin, std::uint64_t end) {
  enqueue_runs(call, shares_.withhold(call, begin, end));
}

// Items that wait and stand in no queue, in order: those behind each other together.
void Controller::enqueue_runs(Call& call, const std::vector<std::uint64_t>& items) {
  for (std::size_t i = 0; i < items.size();) {
    const ArgumentBlock& block = *block_of(call, items[i]);
    const std::uint64_t block_end = block.first + block.count;
    std::uint64_t count = 1;
    while (i + count < items.size() && items[i + count] == items[i] + count && items[i + count] < block_end) ++count;
    queue_.enqueue(call, block, items[i], count);
    i += count;
  }
}

// Whether anything has to be done about it.
bool Controller::look_at_shares() {
  constexpr std::size_t together = 1024;  // items that are looked for before others get their turn
  const auto engines = static_cast<std::size_t>(engines_.count());
  const scheduler::Scheduler& scheduler = queue_.scheduler();
  // What waits may be for some engines only.
  const bool needs = scheduler.waiting() < 2 * engines || scheduler.any_idle();
  controller::Shares::Round round = shares_.look(now(), needs, engines);
  for (const checkpoint::Checkpoint* const in : round.to_split) split(in);
  for (auto& [number, items] : round.released) {
    Call* const call = calls_.find(number);
    if (call == nullptr) continue;
    std::sort(items.begin(), items.end());
    for (std::size_t first = 0; first < items.size(); first += together) {
      const auto begin = items.begin() + static_cast<std::ptrdiff_t>(first);
      const auto end = items.begin() + static_cast<std::ptrdiff_t>(std::min(items.size(), first + together));
      work_.add(std::make_unique<Release>(*this, *call, std::vector(begin, end)));
    }
  }
  return !round.to_split.empty() || !round.released.empty();
}

// The client may be busy otherwise, and others wait for what this job has.
void Controller::attend_to_shares() {
  if (locked([this] { return shares_.any_to_look_at() && look_at_shares(); })) driver_.wake_progress_thread();
}

// Another job has come, or has taken over what was this job's: it may do all that has not been handed out.
void Controller::split(const checkpoint::Checkpoint* in) {
  shares_.forget(in);
  for (const auto& call : calls_.unfinished()) {
    const CallLife& life = call->life();
    if (!life.checkpointed || life.more->checkpointed->in.get() != in || !in_pool(*call) || life.waits) continue;
    const std::uint64_t count = life.items.size();
    for (std::uint64_t item = 0; item < count; ++item) {
      if (life.items[item].status == Status::handed_out) shares_.note_begun(*call, item);
    }
    if (!life.laid_out && !controller::enqueued_as_they_come(*call)) continue;
    queue_.withdraw(*call);
    enqueue_ours(*call, 0, count);
  }
  shares_.tell_begun(in);
}

}  // namespace rankview::detail

namespace rankview::controller {

void StuckTeams::note(const detail::Call& call, std::uint64_t item, std::int64_t now, const std::exception_ptr& error) {
  const bool known = std::any_of(suspects_.begin(), suspects_.end(), [&](const Suspect& suspect) {
    return suspect.call == call.id && (call.spread == detail::Spread::together || suspect.item == item);
  });
  if (!known) suspects_.push_back({call.id, item, now, error});
}

void StuckTeams::check(std::int64_t now) {
  const std::int64_t limit = now - std::chrono::nanoseconds(grace_).count();
  std::erase_if(suspects_, [&](const Suspect& suspect) {
    const detail::Call* const call = calls_.find(suspect.call);
    if (call == nullptr) return true;
    if (call->spread != detail::Spread::together && !call->life().more->team_items->contains(suspect.item)) return true;
    if (suspect.since > limit) return false;
    transport::end_process(1, wire::error_text(suspect.error) + "\nOther engines have not ended that task " +
                                  std::to_string(grace_.count()) +
                                  " ms later (RANKVIEW_TEAM_GRACE_MS): they wait in MPI for the one that threw, and cannot be freed");
  });
}

}  // namespace rankview::controller

// How templates make a call: its arguments, encoded block by block, and what few calls have.
namespace rankview::inline abi_0_1::detail {
namespace {

// So many items may wait on rank 0 while a range is still being read.
constexpr std::uint64_t read_ahead = 64 * 1024;

}  // namespace

std::span<const std::byte> ArgumentBlock::items(std::uint64_t begin, std::uint64_t end) const {
  const auto offset = [this](std::uint64_t item) -> std::size_t {
    const std::uint64_t index = item - first;
    if (index == count) return data.bytes.size();
    return stride != 0 ? index * stride : offsets[index];
  };
  return data.bytes.bytes().subspan(offset(begin), offset(end) - offset(begin));
}

Submission::Submission(std::shared_ptr<Call> call, std::optional<std::uint64_t> expected) : call_(std::move(call)), expected_(expected) {
  if (!call_->life().checkpointed) return;
  checkpointed_ = std::make_unique<CheckpointedItems>(*call_);
  block_.data.canonical = true;
}

Submission::~Submission() {
  if (begun_ && !finished_) call_->controller->cancel(*call_);
}

void Submission::set_size() {
  const std::uint64_t size = block_.data.bytes.size() - item_.bytes - sizeof(size);
  std::memcpy(block_.data.bytes.data() + item_.bytes, &size, sizeof(size));
  block_.offsets.push_back(item_.bytes);
}

// Whether the result of the last item is there already, so that it need not be run.
bool Submission::recall_item() {
  constexpr std::size_t much = 1024 * 1024;
  constexpr std::size_t many = 16 * 1024;
  CheckpointedItems& items = *checkpointed_;
  if (!items.look_up(block_.data, item_, block_.stride == 0 ? sizeof(std::uint64_t) : 0)) {
    // Those before it go first; the block has this one only.
    if (!items.recalled.parts.empty()) hand_over_recalled();
    return false;
  }
  block_.data.rewind(item_);
  --block_.count;
  if (block_.stride == 0) block_.offsets.pop_back();
  if (block_.count != 0) hand_over();
  if (items.recalled.bytes.size() > much || items.recalled.parts.size() > many) hand_over_recalled();
  return true;
}

// The last item has attachments: it goes into a block of its own.
void Submission::isolate() {
  if (block_.count > 1) {
    ArgumentBlock alone;
    alone.stride = block_.stride;
    alone.count = 1;
    if (alone.stride == 0) {
      alone.offsets.push_back(0);
      block_.offsets.pop_back();
    }
    Writer& from = block_.data;
    alone.data.bytes.append(from.bytes.data() + item_.bytes, from.bytes.size() - item_.bytes);
    alone.data.attachments = std::move(from.attachments);
    alone.data.kept = std::move(from.kept);
    from.rewind({item_.bytes, 0, 0});
    --block_.count;
    hand_over();
    block_ = std::move(alone);
  }
  hand_over();
}

void Submission::begin() {
  if (!begun_) call_->controller->begin(call_, expected_);
  begun_ = true;
}

void Submission::hand_over() {
  begin();
  block_.data.bytes.shrink_to_fit();
  if (checkpointed_ == nullptr) {
    call_->controller->extend(*call_, std::exchange(block_, {}));
  } else {
    std::vector<checkpoint::Key>& keys = checkpointed_->keys;
    const std::size_t count = block_.count;
    call_->controller->extend(*call_, std::exchange(block_, {}), std::span(keys).first(count), checkpointed_->handed_over(count));
    keys.erase(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(count));
    block_.data.canonical = true;
  }
  handed_over_ = true;
}

void Submission::hand_over_recalled() {
  begin();
  const bool drives = checkpointed_->handed_over(checkpointed_->recalled.parts.size());
  call_->controller->recall(*call_, std::exchange(checkpointed_->recalled, {}), drives);
  handed_over_ = true;
}

void Submission::wait_for_engines() {
  Controller& controller = *call_->controller;
  controller.drive({}, [&] { return controller.waiting() <= read_ahead || !controller::enqueued_as_they_come(*call_); });
}

void Submission::finish(bool unattended) {
  if (!begun_ && checkpointed_ == nullptr) {
    call_->controller->submit(call_, std::move(block_), unattended);
    return;
  }
  begin();
  if (checkpointed_ != nullptr && !checkpointed_->recalled.parts.empty()) hand_over_recalled();
  if (block_.count != 0) hand_over();
  finished_ = true;
  call_->controller->seal(*call_, unattended);
}

void begin_only_item(ArgumentBlock& block, std::size_t stride) {
  block.stride = stride;
  if (stride == 0) block.data.value(std::uint64_t{0});
}

void end_only_item(ArgumentBlock& block) {
  if (block.stride != 0) return;
  const std::uint64_t size = block.data.bytes.size() - sizeof(size);
  std::memcpy(block.data.bytes.data(), &size, sizeof(size));
  block.offsets = {0};
}

void submit_empty(const std::shared_ptr<Call>& call, bool unattended) {
  ArgumentBlock block;
  block.count = 1;
  call->controller->submit(call, std::move(block), unattended);
}

void set_label(Call& call, const std::string& label) {
  if (!label.empty()) call.life().more.edit().label = label;
}

void set_teams(Call& call, const std::vector<std::vector<int>>& teams) { call.life().more.edit().teams = teams; }

void add_feed(Call& call, const std::shared_ptr<CompletionFeed>& feed, std::uint64_t first) {
  call.life().more.edit().feeds.push_back({feed, first});
}

void defer(Call& call, const Dependency& arguments, EncodeArguments encode, bool plain) {
  if (call.life().checkpointed)
    throw UsageError(
        "a checkpoint does not know tasks by arguments that are results of others: wait for these, and give the task their values");
  Deferred& deferred = call.life().more.edit().deferred;
  deferred.arguments = arguments;
  deferred.encode = std::move(encode);
  deferred.plain = plain;
}

}  // namespace rankview::detail

namespace rankview::controller {
namespace {

class Subtask final : public detail::Call {
 public:
  Subtask(const TaskId& by, int on, std::uint64_t number) : Call(true), parent(by), engine(on), ticket(number) { life().subtask = true; }

  void grow(std::uint64_t, std::uint64_t) override {}
  void load(std::uint64_t, detail::Reader& in) override {
    const auto bytes = in.take(in.remaining());
    value.assign(bytes.begin(), bytes.end());
  }
  void discard() noexcept override {}

  TaskId parent;
  int engine;
  std::uint64_t ticket;
  std::vector<std::byte> value;
};

// What is sent of an error that rank 0 has of a task.
wire::Failure describe(const std::exception_ptr& error) {
  using enum wire::FailureKind;
  try {
    std::rethrow_exception(error);
  } catch (const RemoteError& e) {
    return {exception, e.type_name(), e.message()};
  } catch (const TaskAborted& e) {
    return {exception, "rankview::TaskAborted", wire::error_text(e)};
  } catch (const TimeoutError& e) {
    return {exception, "rankview::TimeoutError", wire::error_text(e)};
  } catch (...) {
    return {exception, "", wire::error_text(std::current_exception())};
  }
}

}  // namespace

std::shared_ptr<detail::Call> make_subtask(const detail::Call& parent, int engine, const wire::Subtask& subtask) {
  const auto call = detail::make_call<Subtask>(TaskId{parent.id, subtask.parent_item}, engine, subtask.ticket);
  call->controller = parent.controller;
  call->function.thunk = static_cast<const detail::Thunk*>(detail::local_address(subtask.thunk));
  if (subtask.function != wire::CodeAddress()) call->function.code = detail::local_address(subtask.function);
  call->life().code = &detail::shipped_code({subtask.thunk, subtask.function, {}});
  call->function.object.edit().raw(subtask.object.data(), subtask.object.size());
  if (!parent.life().more->label.empty()) call->life().more.edit().label = parent.life().more->label;
  call->spread = detail::Spread::pool;
  if (in_pool(parent) && parent.life().more->teams.empty()) call->engines = parent.engines;
  // Deeper ones first, so that what waits for them goes on before more is begun.
  call->life().terms.edit().priority = parent.life().terms->priority + 1;
  call->life().error_seen = true;
  return call;
}

detail::ArgumentBlock arguments_of(const wire::Subtask& subtask) {
  detail::ArgumentBlock block;
  block.count = 1;
  detail::begin_only_item(block, static_cast<std::size_t>(subtask.stride));
  block.data.raw(subtask.item.data(), subtask.item.size());
  detail::end_only_item(block);
  return block;
}

TaskId submitter_of(const detail::Call& subtask) { return static_cast<const Subtask&>(subtask).parent; }

void answer_subtask(Engines& engines, const detail::Call& call) {
  const auto& subtask = static_cast<const Subtask&>(call);
  if (const std::exception_ptr error = call.life().failure           ? call.life().failure
                                       : call.life().errors->empty() ? nullptr
                                                                     : call.life().errors->begin()->second) {
    // How a task fails that has been given up surprises nobody.
    const bool given_up = call.life().aborted;
    refuse_subtask(engines, subtask.engine, subtask.ticket,
                   given_up ? std::make_exception_ptr(TaskAborted(wire::error_text(error))) : error);
  } else {
    wire::write(engines.to(subtask.engine), wire::SubtaskResult{subtask.ticket, 0, subtask.value});
  }
}

void refuse_subtask(Engines& engines, int engine, std::uint64_t ticket, const std::exception_ptr& error) {
  detail::Writer failure;
  wire::write(failure, describe(error));
  wire::write(engines.to(engine), wire::SubtaskResult{ticket, 1, failure.bytes.bytes()});
}

}  // namespace rankview::controller

#include <rankview/slice.hpp>
#include <rankview/targets.hpp>

namespace rankview::inline abi_0_1 {

std::vector<std::size_t> slice::places(std::size_t size) const {
  if (step_ == 0) throw UsageError("a slice with a step of 0");
  // As Python's slice.indices().
  const auto count = static_cast<std::int64_t>(size);
  const std::int64_t lowest = step_ < 0 ? -1 : 0;
  const std::int64_t highest = step_ < 0 ? count - 1 : count;
  const auto place = [&](const std::optional<int>& at, std::int64_t otherwise) {
    if (!at) return otherwise;
    return std::clamp(*at < 0 ? *at + count : *at, lowest, highest);
  };
  const std::int64_t start = place(start_, step_ < 0 ? highest : lowest);
  const std::int64_t stop = place(stop_, step_ < 0 ? lowest : highest);
  std::vector<std::size_t> places;
  for (std::int64_t at = start; step_ < 0 ? at > stop : at < stop; at += step_) places.push_back(static_cast<std::size_t>(at));
  return places;
}

std::vector<int> slice::of(const std::vector<int>& ids) const {
  std::vector<int> chosen;
  for (const std::size_t place : places(ids.size())) chosen.push_back(ids[place]);
  return chosen;
}

}  // namespace rankview

// Which engines a view means.
namespace rankview::inline abi_0_1::detail {
std::vector<int> chosen(const std::vector<int>& view, std::vector<int> engines) {
  for (const int engine : engines) {
    if (std::find(view.begin(), view.end(), engine) == view.end())
      throw UsageError("the targets name engine " + std::to_string(engine) + ", which is none of the view's");
  }
  return engines;
}

void check_open(const Controller& controller) {
  if (!controller.open()) throw UsageError("the run that this view belongs to has ended");
}

std::vector<int> live_engines(const Controller& controller) {
  if (controller.any_lost()) return controller.live_engines();
  std::vector<int> ids(static_cast<std::size_t>(controller.engine_count()));
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

std::vector<int> still_live(const Controller& controller, const std::vector<int>& engines) {
  if (!controller.any_lost() || engines.empty()) return engines;
  std::vector<int> live;
  for (const int id : engines) {
    if (!controller.lost(id)) live.push_back(id);
  }
  if (live.empty()) std::rethrow_exception(controller.lost_error(engines.front()));
  return live;
}

std::vector<int> all_live(const Controller& controller, std::vector<int> engines) {
  if (!controller.any_lost()) return engines;
  for (const int id : engines) {
    if (controller.lost(id)) std::rethrow_exception(controller.lost_error(id));
  }
  return engines;
}

int resolve(const Controller& controller, int target) {
  const int count = controller.engine_count();
  if (target >= 0 && target < count) {
    if (controller.lost(target)) std::rethrow_exception(controller.lost_error(target));
    return target;
  }
  const std::vector<int> live = live_engines(controller);
  const auto size = static_cast<int>(live.size());
  if (target < 0 && target >= -size) return *(live.end() + target);
  std::string ids;
  if (size == count) {
    ids = "0 to " + std::to_string(count - 1);
  } else {
    for (const int id : live) ids += (ids.empty() ? "" : ", ") + std::to_string(id);
  }
  throw std::out_of_range("there is no engine " + std::to_string(target) + ": the live engines are " + ids);
}

std::vector<LostEngine> lost_engines(const Controller& controller) { return controller.lost(); }

void on_lost(Controller& controller, std::function<void(const LostEngine&)> f) { controller.on_lost(std::move(f)); }

std::vector<int> resolve(const Controller& controller, const std::vector<int>& targets) {
  std::vector<int> resolved;
  resolved.reserve(targets.size());
  for (const int target : targets) {
    const int id = resolve(controller, target);
    if (std::find(resolved.begin(), resolved.end(), id) != resolved.end())
      throw UsageError("engine " + std::to_string(id) + " is named twice");
    resolved.push_back(id);
  }
  return resolved;
}

}  // namespace rankview::detail

namespace rankview::inline abi_0_1::detail {

std::string in_seconds(std::int64_t nanoseconds) {
  return std::to_string(std::chrono::duration<double>(std::chrono::nanoseconds(nanoseconds)).count()) + " s";
}

std::exception_ptr task_error(const Call& call, std::uint64_t item, const controller::EngineInfo& at, int engine,
                              const rankview::wire::Failure& failure, const std::vector<std::string>& earlier) {
  const TaskId task{call.id, item};
  if (failure.kind == rankview::wire::FailureKind::timed_out) return task_timed_out(call, task, engine, earlier);
  TaskPlace place{engine, at.rank, at.host, at.pid, task};
  if (failure.kind == rankview::wire::FailureKind::name)
    return std::make_exception_ptr(NameError(failure.message, std::move(place), earlier));
  if (failure.kind == rankview::wire::FailureKind::type)
    return std::make_exception_ptr(TypeError(failure.message, std::move(place), earlier));
  if (failure.kind == rankview::wire::FailureKind::crashed)
    return std::make_exception_ptr(TaskCrashed(failure.message, failure.signal, failure.exit_status,
                                               static_cast<std::size_t>(failure.peak_memory), std::move(place), earlier));
  return std::make_exception_ptr(RemoteError(std::move(place), failure.type_name, failure.message, earlier));
}

std::exception_ptr task_timed_out(const Call& call, const TaskId& task, int engine, const std::vector<std::string>& earlier) {
  return std::make_exception_ptr(TimeoutError("task " + to_string(task) + " on engine " + std::to_string(engine) +
                                              ": ran for longer than its timeout of " + in_seconds(call.life().terms->timeout) +
                                              rankview::wire::listed(earlier)));
}

ToldError with_text(std::exception_ptr error) {
  if (error == nullptr) return {};
  std::string text = rankview::wire::error_text(error);
  return {std::move(error), std::move(text)};
}

std::exception_ptr keep(Call& call, ToldError&& told) {
  if (told.error == nullptr) return nullptr;
  return call.life().more.edit().told.edit().emplace_back(std::move(told)).error;
}

std::string text_of(const Call& call, const std::exception_ptr& error) {
  const auto& told = *call.life().more->told;
  const auto found = std::find_if(told.rbegin(), told.rend(), [&error](const ToldError& each) { return each.error == error; });
  if (found != told.rend()) return found->text;
  return rankview::wire::error_text(error);
}

std::exception_ptr task_aborted(const TaskId& task, const std::string& why) {
  return std::make_exception_ptr(TaskAborted("task " + to_string(task) + ": " + why));
}

}  // namespace rankview::detail

namespace rankview::controller {

using detail::ArgumentBlock;
using detail::Call;
using detail::Spread;
using scheduler::Placement;

namespace {

constexpr bool same(Policy ours, scheduler::Policy theirs) { return static_cast<int>(ours) == static_cast<int>(theirs); }
static_assert(same(Policy::least_load, scheduler::Policy::least_load) && same(Policy::lru, scheduler::Policy::lru) &&
                  same(Policy::random, scheduler::Policy::random) && same(Policy::two_bin, scheduler::Policy::two_bin) &&
                  same(Policy::weighted, scheduler::Policy::weighted) && same(Policy::pack, scheduler::Policy::pack),
              "the flags' policies and the scheduler's are cast to each other");

// Calls of one kind take about equally long: those of the same code.
std::uint64_t kind_of(const Call& call) {
  return reinterpret_cast<std::uintptr_t>(call.function.thunk) * 31 + reinterpret_cast<std::uintptr_t>(call.function.code);
}

// Who may run all of a call, or of one whose engines have items of their own, this item.
Placement placement(const Call& call, std::uint64_t item) {
  const int close_to_arguments = call.life().more->deferred.placed;
  switch (call.spread) {
    case Spread::together:
      return Placement::together(call.engines);
    case Spread::teams:
      return Placement::to(call.life().more->teams);
    case Spread::pool:
      if (close_to_arguments >= 0) return Placement::bound(close_to_arguments);
      return call.engines.empty() ? Placement() : Placement::among(call.engines);
    case Spread::each:
    case Spread::blocks:
    case Spread::rank_0:
      break;
  }
  return Placement::bound(call.engines[item]);
}

}  // namespace

bool enqueued_as_they_come(const Call& call) { return in_pool(call) && call.chunk_size == 1; }

TaskQueue::TaskQueue(const Engines& engines) {
  for (int id = 0; id < engines.count(); ++id) scheduler_.add_engine(id, engines[id].slots);
}

void TaskQueue::submit(const scheduler::Work& work, const Placement& placement, Grants* at_once) {
  scheduler::Grant grant;
  if (at_once != nullptr && scheduler_.submit_at_once(work, placement, grant)) {
    at_once->push_back(grant);
  } else if (!scheduler_.submit(work, placement)) {
    stranded_.push_back({work.call, work.first, work.first + work.count});
  }
}

// Inline, since it is for every call.
scheduler::Work TaskQueue::work_for(const Call& call, std::uint64_t first, std::uint64_t count, const ArgumentBlock& block) const {
  scheduler::Work work;
  work.call = call.id;
  work.kind = kind_of(call);
  work.first = first;
  work.count = count;
  work.chunks = (count + call.chunk_size - 1) / call.chunk_size;
  work.item_bytes = block.data.bytes.size() / block.count;
  work.alone = !block.data.attachments.empty();
  work.submitter = call.life().submitter;
  work.priority = call.life().terms->priority;
  work.hwm = call.life().terms->hwm;
  // Where engines have one slot it has them for itself in any case, and may be handed out ahead of need.
  if (scheduler_.slotted() && call.life().terms->isolation != Isolation::none) work.slots = call.life().terms->slots;
  work.policy = static_cast<scheduler::Policy>(call.life().terms->policy);
  return work;
}

void TaskQueue::enqueue(const Call& call, const ArgumentBlock& block, Grants* at_once) {
  submit(work_for(call, block.first, block.count, block), placement(call, block.first), at_once);
}

void TaskQueue::enqueue(const Call& call, const ArgumentBlock& block, std::uint64_t first, std::uint64_t count) {
  submit(work_for(call, first, count, block), placement(call, first), nullptr);
}

void TaskQueue::enqueue(const Call& call, Grants* at_once) {
  const std::uint64_t count = call.life().items.size();
  const std::uint64_t engines = call.engines.size();
  if (count == 0) return;
  const ArgumentBlock& block = call.life().blocks.front();
  const auto add = [&](std::uint64_t first, std::uint64_t items) {
    submit(work_for(call, first, items, block), placement(call, first), at_once);
  };
  switch (call.spread) {
    case Spread::together:
      add(0, engines);
      return;
    case Spread::each:
      for (std::uint64_t i = 0; i < engines; ++i) add(i, 1);
      return;
    case Spread::blocks:
      // The first few get one item more.
      for (std::uint64_t i = 0, first = 0; i < engines && first < count; ++i) {
        const std::uint64_t part = count / engines + (i < count % engines ? 1 : 0);
        submit(work_for(call, first, part, block), Placement::bound(call.engines[i]), at_once);
        first += part;
      }
      return;
    case Spread::pool:
    case Spread::teams:
      if (call.chunk_size > 1) {
        add(0, count);
      } else {
        for (const ArgumentBlock& each : call.life().blocks) enqueue(call, each, at_once);
      }
      return;
    case Spread::rank_0:
      return;
  }
}

bool TaskQueue::enqueue_again(Call& call, std::uint64_t item, scheduler::Avoid avoid, bool alone) {
  scheduler::Work work = work_for(call, item, 1, *block_of(call, item));
  if (alone) {
    work.alone = true;
    work.least_slots = std::exchange(work.slots, 0);
    work.hwm = 1;
  }
  work.avoid = std::make_shared<const scheduler::Avoid>(std::move(avoid));
  return scheduler_.submit(work, placement(call, item));
}

void TaskQueue::withdraw(const Call& call) {
  if (call.spread == Spread::together || in_pool(call)) {
    scheduler_.withdraw(call.id, placement(call, 0));
  } else {
    for (const int engine : call.engines) scheduler_.withdraw(call.id, Placement::bound(engine));
  }
}

void TaskQueue::withdraw(const Call& call, std::uint64_t item) {
  if (in_pool(call)) {
    scheduler_.withdraw(call.id, item, placement(call, item));
    return;
  }
  for (const int engine : call.engines) {
    if (scheduler_.withdraw(call.id, item, Placement::bound(engine))) return;
  }
}

}  // namespace rankview::controller

namespace rankview::controller {

using detail::RootPart;

std::uint64_t Teams::enter(const std::vector<int>& members, Engines& engines) {
  std::uint64_t& number = by_engines_[members];
  if (number == 0) {
    if (teams_.size() >= most) drop_unused(engines);
    number = next_number_++;
    Team& added = teams_[number];
    added.number = number;
    added.engines = members;
    const wire::Join join{number, {members.begin(), members.end()}};
    for (const int engine : members) wire::write(engines.to(engine), join);
    busy_.push_back(number);
  }
  Team& team = teams_.at(number);
  ++team.calls;
  team.used = ++uses_;
  return number;
}

void Teams::leave(std::uint64_t number) {
  if (!broken_.contains(number)) --teams_.at(number).calls;
}

// MPI may go on for ever with what was begun in them, so that is never freed, nor what it looks at.
std::vector<std::shared_ptr<detail::Call>> Teams::lose(int engine) {
  static auto& for_ever = *new std::vector<decltype(teams_)::node_type>;
  // What rank 0 gives in a collective.
  static auto& read_for_ever = *new std::vector<std::shared_ptr<const void>>;
  std::vector<std::shared_ptr<detail::Call>> calls;
  for (auto at = teams_.begin(); at != teams_.end();) {
    const auto each = at++;
    Team& team = each->second;
    if (std::find(team.engines.begin(), team.engines.end(), engine) == team.engines.end()) continue;
    for (const Part& part : team.parts) {
      calls.push_back(part.call);
      if (part.begun != nullptr) read_for_ever.push_back(part.call->root->kept);
    }
    broken_.insert(team.number);
    if (assembling_ == team.number) assembling_ = 0;
    by_engines_.erase(team.engines);
    std::erase(busy_, team.number);
    for_ever.push_back(teams_.extract(each));
  }
  return calls;
}

// The one that was used longest ago. While all are in use there may be more than are kept.
void Teams::drop_unused(Engines& engines) {
  Team* oldest = nullptr;
  for (auto& [number, team] : teams_) {
    if (team.calls == 0 && (oldest == nullptr || team.used < oldest->used)) oldest = &team;
  }
  if (oldest == nullptr) return;
  for (const int engine : oldest->engines) wire::write(engines.to(engine), wire::Disband{oldest->number});
  by_engines_.erase(oldest->engines);
  teams_.erase(oldest->number);
}

void Teams::begin(std::uint64_t number, std::shared_ptr<detail::Call> call) {
  Team& team = teams_.at(number);
  if (team.made != nullptr && team.parts.empty()) busy_.push_back(number);
  team.parts.emplace_back();
  team.parts.back().call = std::move(call);
}

void Teams::on_join(std::uint64_t number, int engine) {
  if (broken_.contains(number)) return;
  const auto found = teams_.find(number);
  if (found == teams_.end() || found->second.made != nullptr || found->second.joining == found->second.engines.size())
    throw DecodeError("engine " + std::to_string(engine) + " joins team " + std::to_string(number) + ", which it was not asked to");
  ++found->second.joining;
}

bool Teams::progress(transport::Endpoint& endpoint, const Engines& engines, UserWork& work,
                     const std::function<void(detail::Call&)>& over) {
  bool any = false;
  for (std::size_t i = 0; i < busy_.size();) {
    Team& team = teams_.at(busy_[i]);
    if (team.made == nullptr && assembling_ == 0 && team.joining == team.engines.size()) {
      assembling_ = team.number;
      ++turns_;
      std::vector<int> members;
      for (const int engine : team.engines) {
        members.push_back(engines[engine].peer);
        transport::Message message = endpoint.message();
        wire::write(message, wire::Assemble{team.number, turns_});
        endpoint.send(members.back(), std::move(message));
      }
      team.assembly = endpoint.begin_assembly(turns_, members);
    }
    if (team.made == nullptr) {
      if (team.assembly == nullptr || !team.assembly->done()) {
        ++i;
        continue;
      }
      team.made = team.assembly->take();
      team.assembly.reset();
      assembling_ = 0;
      any = true;
    }
    while (!team.parts.empty()) {
      const Moved moved = move(team, work);
      any = any || moved.any;
      if (!moved.over) break;
      const std::shared_ptr<detail::Call> call = std::move(team.parts.front().call);
      team.parts.pop_front();
      over(*call);
    }
    if (team.parts.empty()) {
      busy_.erase(busy_.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
  return any;
}

// ---- rank 0's part, step by step ---------------------------------------------------------------------------------------------

void Teams::start(Team& team, Part& part) {
  const RootPart& root = *part.call->root;
  part.votes.resize(static_cast<std::size_t>(team.made->members()));
  part.counts.resize(team.engines.size());
  part.rounds = root.rounds;
  part.own = {1, 0};
  if (root.votes) {
    part.phase = Phase::vote;
    part.begun = team.made->gather_votes(part.own, part.votes);
    return;
  }
  part.phase = Phase::data;
  part.verdict = {1, root.deal.total};
  part.to = part.call->room(root.deal.total);
  if (root.kind == RootPart::Kind::reduce) part.begun = team.made->reduce(part.to, root.deal.total, root.element, root.operation);
}

Teams::Moved Teams::move(Team& team, UserWork& work) {
  Part& part = team.parts.front();
  Moved moved;
  if (part.phase == Phase::handed_out) start(team, part);
  while (part.phase == Phase::room ? part.room->there : part.begun == nullptr || part.begun->done()) {
    moved.any = true;
    if (!next(team, part, work)) {
      moved.over = true;
      return moved;
    }
  }
  // From the decision on nobody is late, and looking is what moves the data.
  moved.any = moved.any || (part.phase == Phase::data && part.call->root->votes);
  return moved;
}

// What was begun is done: begins what comes next. False at the end.
bool Teams::next(Team& team, Part& part, UserWork& work) {
  const RootPart& root = *part.call->root;
  transport::Team& with = *team.made;
  switch (part.phase) {
    case Phase::vote:
      decide(part, work);
      if (part.room != nullptr) {
        part.phase = Phase::room;
        return true;
      }
      part.phase = Phase::announcement;
      part.begun = with.announce(part.verdict);
      return true;
    case Phase::room:
      part.to = std::exchange(part.room, nullptr)->to;
      if (part.call->life().failure != nullptr) part.verdict.go = 0;
      part.phase = Phase::announcement;
      part.begun = with.announce(part.verdict);
      return true;
    case Phase::announcement:
      if (part.verdict.go == 0) return false;
      if (--part.rounds != 0) {
        part.phase = Phase::vote;
        part.begun = with.gather_votes(part.own, part.votes);
        return true;
      }
      part.phase = Phase::data;
      break;
    case Phase::handed_out:
    case Phase::data:
      return false;
  }
  detail::Deal deal = root.deal;
  switch (root.kind) {
    case RootPart::Kind::broadcast:
      part.begun = with.broadcast(const_cast<std::byte*>(root.from), deal.total);
      return true;
    case RootPart::Kind::scatter:
      part.begun = with.scatter(root.from, nullptr, deal);
      return true;
    case RootPart::Kind::gather:
      deal.total = part.verdict.total;
      part.begun = with.gather(nullptr, part.to, 0, part.counts, deal);
      return true;
    case RootPart::Kind::reduce:
      part.begun = with.reduce(part.to, part.counts.front(), root.element, root.operation);
      return true;
    case RootPart::Kind::none:
    case RootPart::Kind::attend:
      return false;
  }
  return false;
}

// Has room made for what comes to rank 0, whose elements may have constructors of the program's.
class Teams::MakingRoom final : public UserWork::Piece {
 public:
  MakingRoom(const detail::Call& call, std::uint64_t count, std::shared_ptr<Room> room)
      : Piece(call.life().self), count_(count), room_(std::move(room)) {}

  void run() noexcept override {
    try {
      room_->to = call().room(count_);
    } catch (...) {
      error_ = detail::with_text(detail::caught());
    }
  }
  void finish() override {
    // Unless it has failed for an engine that has died.
    detail::CallLife& life = call().life();
    if (error_.error != nullptr && life.failure == nullptr) life.failure = detail::keep(call(), std::move(error_));
    room_->there = true;
  }

 private:
  std::uint64_t count_;
  std::shared_ptr<Room> room_;
  detail::ToldError error_;
};

void Teams::make_room(Part& part, std::uint64_t count, UserWork& work) {
  if (part.call->plain) {
    part.to = part.call->room(count);
  } else {
    part.room = std::make_shared<Room>();
    work.add(std::make_unique<MakingRoom>(*part.call, count, part.room));
  }
}

// From the votes: whether the call comes about. What is wrong beyond single engines becomes the error of the call.
void Teams::decide(Part& part, UserWork& work) {
  detail::Call& call = *part.call;
  const RootPart& root = *call.root;
  part.verdict = {1, 0};
  for (std::size_t i = 0; i < part.counts.size(); ++i) {
    const transport::Vote& vote = part.votes[i + 1];
    if (vote.ready == 0) part.verdict.go = 0;
    part.counts[i] = vote.count;
    part.verdict.total += vote.count;
  }
  if (part.verdict.go == 0 || part.rounds != root.rounds) return;
  const auto& counts = part.counts;
  try {
    if (root.equal_counts && std::adjacent_find(counts.begin(), counts.end(), std::not_equal_to<>()) != counts.end())
      throw UsageError(root.what + " wants equally many elements on each engine, which have, in target order, " + detail::listed(counts));
    if (root.some && part.verdict.total == 0) throw UsageError(root.what + ": there is no element on any engine");
    if (root.kind == RootPart::Kind::gather && root.deal.dist == Distribution::round_robin) detail::check_round_robin(root.what, counts);
    if (root.kind == RootPart::Kind::gather) make_room(part, part.verdict.total, work);
    if (root.kind == RootPart::Kind::reduce) make_room(part, counts.front(), work);
  } catch (...) {
    call.life().failure = std::current_exception();
    part.verdict.go = 0;
  }
}

}  // namespace rankview::controller

namespace rankview::inline abi_0_1 {

void Flags::add(Flags&& more) {
  const auto take = [](auto& flag, auto& given) {
    if (given.given()) flag = std::move(given);
  };
  take(chunksize, more.chunksize);
  take(ordered, more.ordered);
  take(retries, more.retries);
  take(timeout, more.timeout);
  take(queue_timeout, more.queue_timeout);
  take(priority, more.priority);
  take(label, more.label);
  take(after, more.after);
  take(follow, more.follow);
  take(targets, more.targets);
  take(depend, more.depend);
  take(hwm, more.hwm);
  take(policy, more.policy);
  take(isolation, more.isolation);
  take(memory_limit, more.memory_limit);
  take(memory_growth, more.memory_growth);
  take(slots, more.slots);
  take(on_engine_death, more.on_engine_death);
  take(crash_limit, more.crash_limit);
  take(checkpoint, more.checkpoint);
  take(key, more.key);
  take(version, more.version);
  take(durable, more.durable);
  take(retry_failed, more.retry_failed);
}

}  // namespace rankview

// On what terms calls run: what views have of flags, and which of them a verb knows.
namespace rankview::inline abi_0_1::detail {

namespace {

constexpr int widest_task = std::numeric_limits<std::uint16_t>::max();

void check_not_negative(double value, const char* flag) {
  if (value < 0) throw UsageError(std::string(flag) + " cannot be negative, and is " + std::to_string(value));
}

std::int64_t nanoseconds(Seconds time) {
  // Beyond what can be counted is for ever.
  constexpr double most = 1e18;
  return time.count() * 1e9 > most ? 0 : std::max<std::int64_t>(time.count() > 0 ? 1 : 0, std::llround(time.count() * 1e9));
}

}  // namespace

void set_balanced_terms(Call& call, const Flags& flags) {
  check_not_negative(flags.retries, "retries");
  check_not_negative(flags.timeout->count(), "timeout");
  check_not_negative(flags.queue_timeout->count(), "queue_timeout");
  check_not_negative(flags.hwm, "hwm");
  Terms terms;
  terms.retries = flags.retries;
  terms.timeout = nanoseconds(flags.timeout);
  terms.queue_timeout = nanoseconds(flags.queue_timeout);
  terms.priority = flags.priority;
  terms.hwm = static_cast<std::uint32_t>(flags.hwm);
  terms.policy = static_cast<std::uint8_t>(flags.policy.value());
  terms.predicate = flags.depend->function();
  terms.isolation = flags.isolation;
  terms.memory_limit = flags.memory_limit;
  terms.memory_growth = flags.memory_growth;
  terms.on_engine_death = flags.on_engine_death;
  terms.crash_limit = flags.crash_limit;
  if (flags.slots < 1 || flags.slots > widest_task)
    throw UsageError("a task takes from 1 to " + std::to_string(widest_task) + " slots, and not " + std::to_string(flags.slots));
  terms.slots = static_cast<std::uint16_t>(flags.slots);
  if (terms.crash_limit < 1) throw UsageError("crash_limit is at least 1, and is " + std::to_string(terms.crash_limit));
  if (terms.memory_growth < 1) throw UsageError("memory_growth is at least 1, and is " + std::to_string(terms.memory_growth));
  if (terms.memory_limit != 0 && terms.isolation == Isolation::none)
    throw UsageError("memory_limit is for isolated tasks, whose memory is theirs alone: add isolation = rv::process");
  if (terms != Terms()) call.life().terms.edit() = terms;
  call.after = &flags.after.value();
  call.follow = &flags.follow.value();
}

void set_direct_terms(Call& call, const Flags& flags) {
  const Flags none;
  if (flags.retries != 0 || flags.priority != 0 || !flags.follow->empty() || !flags.targets->empty() || flags.depend.value() ||
      flags.hwm != 0 || flags.policy != none.policy || flags.chunksize != none.chunksize || !flags.ordered ||
      flags.on_engine_death != none.on_engine_death || flags.crash_limit != none.crash_limit || !flags.checkpoint->empty())
    throw UsageError(
        "of the flags, a direct view knows after, queue_timeout, label, and for apply() and map() timeout, isolation, memory_limit and "
        "slots; the others are for load-balanced views");
  set_balanced_terms(call, flags);
}

void set_collective_terms(Call& call, const Flags& flags) {
  if (flags.timeout->count() != 0)
    throw UsageError("timeout is not for what engines do together: one that gave up would leave the others waiting for it");
  check_not_isolated(flags, "what engines do together they do by MPI, which the process of an isolated task does not have");
  set_direct_terms(call, flags);
}

void check_not_isolated(const Flags& flags, const char* why_not) {
  if (flags.isolation != Isolation::none) throw UsageError(std::string("isolation is for apply() and map(): ") + why_not);
}

void check_no_checkpoint(const Flags& flags) {
  if (!flags.checkpoint->empty())
    throw UsageError(
        "map_reduce() has no results of single tasks to keep in a checkpoint; use map(), and fold what it gives, which a later run finds");
}

void check_team_flags(const Flags& flags) {
  if (!flags.checkpoint->empty()) throw UsageError("results of teams are not kept in a checkpoint");
  check_not_isolated(flags, "teams run tasks by MPI, which the process of an isolated task does not have");
  if (flags.retries != 0 || flags.timeout->count() != 0 || !flags.follow->empty() || !flags.targets->empty() || flags.depend.value())
    throw UsageError("teams do not know the flags retries, timeout, follow, targets and depend; name targets when making the team_view()");
}

}  // namespace rankview::detail

namespace rankview::controller {
namespace {

class DiscardPiece final : public UserWork::Piece {
 public:
  using Piece::Piece;
  void run() noexcept override { call().discard(); }
  void finish() override {}
};

}  // namespace

void UserWork::add(std::unique_ptr<Piece> piece) {
  const auto [behind, first] = behind_.try_emplace(&piece->call());
  (first ? ready_ : behind->second).push_back(std::move(piece));
}

std::unique_ptr<UserWork::Piece> UserWork::begin_next() {
  auto piece = std::move(ready_.front());
  ready_.pop_front();
  return piece;
}

// The next one of the same call may begin.
void UserWork::end(std::unique_ptr<Piece> piece) {
  piece->finish();
  const auto behind = behind_.find(&piece->call());
  if (behind->second.empty()) {
    behind_.erase(behind);
  } else {
    ready_.push_back(std::move(behind->second.front()));
    behind->second.pop_front();
  }
  leave(std::move(piece->call_));
  leave(std::shared_ptr<const Piece>(std::move(piece)));
}

thread_local UserWork::Left UserWork::spare_;

void UserWork::destroy_left_behind(std::unique_lock<SharedLock>& guard) {
  // A destructor may come here again.
  Left left = std::move(spare_);
  std::swap(left, left_);
  guard.unlock();
  left.things.clear();
  left.deferred.clear();
  spare_ = std::move(left);
}

void discard_results(UserWork& work, detail::Call& call) {
  if (call.plain && !work.busy(call)) {
    call.discard();
  } else {
    work.add(std::make_unique<DiscardPiece>(call.life().self));
  }
}

void Visit::run_next_piece() {
  auto piece = work_.begin_next();
  unlock();
  piece->run();
  lock();
  work_.end(std::move(piece));
}

}  // namespace rankview::controller

// Waiting for calls, and giving them up.
namespace rankview::inline abi_0_1::detail {

std::chrono::steady_clock::time_point deadline_clock() { return transport::steady_now(); }
bool wait(Call& call, const Deadline& deadline) {
  if (call.life().done()) return true;
  return call.controller->drive(
      deadline, [&call] { return call.life().done(); }, call.spread == Spread::rank_0);
}

bool wait(Call& call, std::uint64_t item, const Deadline& deadline) {
  if (call.life().done()) return true;
  return call.controller->drive(
      deadline,
      [&call, item] { return call.life().done() || (item < call.life().items.size() && has_ended(call.life().items[item].status)); },
      call.spread == Spread::rank_0);
}

std::exception_ptr wait_first_error(Call& call, const Deadline& deadline) {
  std::exception_ptr error;
  const auto ready = [&call, &error] {
    if (!call.life().errors->empty()) error = call.life().errors->begin()->second;
    if (call.life().failure) error = call.life().failure;
    return error != nullptr || call.life().done();
  };
  call.controller->drive(deadline, ready, call.spread == Spread::rank_0);
  if (error) call.life().error_seen = true;
  return error;
}

bool poll(Call& call) {
  if (!call.life().done()) call.controller->try_progress();
  return call.life().done();
}

QueueStatus queue_status(Controller& controller, const std::vector<int>& engines) {
  controller.try_progress();
  return controller.queue_status(engines);
}

void spin(Controller& controller) { controller.try_progress(); }

std::shared_ptr<CompletionFeed> subscribe(Call& call) {
  auto feed = std::make_shared<CompletionFeed>();
  call.controller->locked([&] {
    for (std::uint64_t item = 0; item < call.life().items.size(); ++item) {
      if (has_ended(call.life().items[item].status)) feed->ended.push_back(item);
    }
    std::stable_sort(feed->ended.begin(), feed->ended.end(),
                     [&call](std::uint64_t a, std::uint64_t b) { return call.life().items[a].received < call.life().items[b].received; });
    call.life().more.edit().feeds.push_back({feed});
  });
  return feed;
}

std::optional<std::uint64_t> next_ended(Call& call, CompletionFeed& feed, std::uint64_t already_read) {
  std::optional<std::uint64_t> item;
  const auto ready = [&] {
    if (!feed.ended.empty()) {
      item = feed.ended.front();
      feed.ended.pop_front();
    }
    return item || (call.life().sealed && already_read == call.life().items.size());
  };
  call.controller->drive({}, ready, call.spread == Spread::rank_0);
  return item;
}

namespace {

// A call, and which of its tasks.
using Named = std::pair<std::shared_ptr<Call>, std::uint64_t>;

// Those that may not have ended.
std::vector<Named> named(const Controller& controller, const Dependency& tasks) {
  std::vector<Named> all;
  for (const Prerequisite& some : tasks.tasks()) {
    if (auto call = controller.named(some)) all.emplace_back(std::move(call), some.task.item);
  }
  return all;
}

}  // namespace

bool wait_for(Controller& controller, const Dependency& tasks, const Deadline& deadline) {
  for (const auto& [call, item] : named(controller, tasks)) {
    if (!(item == Prerequisite::every ? wait(*call, deadline) : wait(*call, item, deadline))) return false;
  }
  return true;
}

void abort(Controller& controller, const Dependency& tasks) {
  for (const auto& [call, item] : named(controller, tasks)) {
    call->life().error_seen = true;
    if (item == Prerequisite::every) {
      call->controller->abort(*call);
    } else {
      call->controller->abort(*call, item);
    }
  }
}

void abort(Call& call) {
  call.life().error_seen = true;
  call.controller->abort(call);
}

void abort_view(Controller& controller, std::uint64_t view) {
  controller.abort_if([view](const Call& call) { return call.view == view; });
}

std::uint64_t new_view() noexcept {
  static std::atomic<std::uint64_t> views{0};
  return views.fetch_add(1, std::memory_order_relaxed) + 1;
}

void abort_all(Controller& controller) {
  controller.abort_if([](const Call&) { return true; });
}

void throw_late(Call& call, Seconds timeout) {
  throw TimeoutError("after " + std::to_string(timeout.count()) + " s, " + std::to_string(call.life().ended) + " of " +
                     std::to_string(call.life().items.size()) + (call.life().items.size() == 1 ? " task has" : " tasks have") +
                     " ended (call " + std::to_string(call.id) + "); the result can be asked for again");
}

void throw_not_ready(const char* what) { throw UsageError(std::string(what) + " before the result is ready: wait() first"); }

void wait_interactive(Call& call, std::chrono::milliseconds interval) {
  const bool terminal = isatty(STDERR_FILENO) != 0;
  for (bool done = false; !done;) {
    done = wait(call, deadline_after(interval));
    const std::size_t total = call.life().items.size();
    const std::uint64_t ended = call.life().ended;
    const double elapsed = times_of(call).elapsed.count();
    const double share = total == 0 ? 1.0 : static_cast<double>(ended) / static_cast<double>(total);
    if (terminal) {
      constexpr int width = 40;
      const int filled = static_cast<int>(std::lround(share * width));
      std::fprintf(stderr, "\r[%s%s] %zu/%zu tasks, %.1f s%s", std::string(static_cast<std::size_t>(filled), '#').c_str(),
                   std::string(static_cast<std::size_t>(width - filled), ' ').c_str(), static_cast<std::size_t>(ended), total, elapsed,
                   done ? "\n" : "");
    } else {
      std::fprintf(stderr, "%zu/%zu tasks finished after %.1f s\n", static_cast<std::size_t>(ended), total, elapsed);
    }
    std::fflush(stderr);
  }
}

}  // namespace rankview::detail

// Results as arguments, and what is attached to messages.
namespace rankview::engine {

// What a task reads of what another engine delivers. For the task's own thread.
class Engine::Arrival final : public detail::Delivered {
 public:
  Arrival(Engine& engine, std::shared_ptr<InMessage> message, std::span<const std::byte> value)
      : engine_(engine), message_(std::move(message)), claims_(message_->attachment_sizes), value_(value, &claims_) {}
  ~Arrival() override {
    const std::lock_guard held(engine_.lock_);
    engine_.drop(*message_);
    message_.reset();
  }

  detail::Reader& value() override { return value_; }
  void receive() override {
    const std::lock_guard held(engine_.lock_);
    if (!message_->received) engine_.receive(*message_, claims_.places());
  }

 private:
  Engine& engine_;
  std::shared_ptr<InMessage> message_;
  detail::Claims claims_;
  detail::Reader value_;
};

std::shared_ptr<const void> Engine::cached(std::uint64_t call, const std::type_info& type) const {
  const ResultCache::Entry* const found = cache_.find(call);
  return found == nullptr || *found->type != type ? nullptr : found->value;
}

// To another engine, whether the result is still here or not.
void Engine::deliver(const wire::Forward& forward) {
  transport::Message message = outbox_.endpoint().message();
  if (const ResultCache::Entry* const found = cache_.find(forward.call)) {
    wire::write(message, wire::Delivery{forward.ticket, 1, found->encoded});
    message.attachments = found->attachments;
    message.kept.push_back(found->value);
  } else {
    wire::write(message, wire::Delivery{forward.ticket, 0, {}});
  }
  outbox_.endpoint().send(static_cast<int>(forward.to) + 1, std::move(message));
}

std::unique_ptr<detail::Delivered> Engine::take_delivery(std::uint64_t ticket) {
  const std::lock_guard held(lock_);
  const Deliveries::Delivery& awaited = deliveries_.at(ticket);
  const Loop::WaitingFor waiting(loop_, "an argument that another engine has");
  transport::Idle idle(loop_.spin());
  if (awaited.message == nullptr) outbox_.flush();
  while (awaited.message == nullptr) {
    if (end_.client_failed())
      throw TaskAborted("the client has failed (" + end_->reason + "), and the task has not got all of its arguments yet");
    poll_or_nap(idle);
  }
  if (!awaited.found) throw detail::ResultGone();
  auto arrival = std::make_unique<Arrival>(*this, awaited.message, awaited.value);
  deliveries_.take(ticket);
  return arrival;
}

void Engine::receive(InMessage& message, const std::vector<detail::Claims::Place>& places) {
  message.received = true;
  if (lost(message)) throw detail::ResultGone();
  const auto transfer = outbox_.endpoint().receive(message.frame, places);
  if (transfer->done()) return;
  const Loop::WaitingFor waiting(loop_, "what is attached to a message");
  outbox_.flush();
  transport::Idle idle(loop_.spin());
  while (!transfer->done()) {
    if (lost(message)) throw detail::ResultGone();
    poll_or_nap(idle);
  }
}

// What is attached to it, if anything is, is not needed. Does not wait.
void Engine::drop(InMessage& message) {
  if (message.received || lost(message)) return;
  try {
    deliveries_.receive_unwanted(outbox_.endpoint(), message);
  } catch (const std::bad_alloc&) {
    transport::end_process(
        1, "engine " + std::to_string(settings_.id) + " has no memory to receive what was sent to a task that does not run");
  }
}

void Engine::drop(const Deliveries::Messages& messages) {
  for (const auto& message : messages) drop(*message);
}

}  // namespace rankview::engine

namespace rankview::inline abi_0_1::detail {

std::shared_ptr<const void> kept_result(std::uint64_t call, const std::type_info& type) {
  const engine::TaskHost* const here = engine::current();
  auto value = here == nullptr ? nullptr : here->cached(call, type);
  if (value == nullptr) throw ResultGone();
  return value;
}

std::unique_ptr<Delivered> await_delivered(std::uint64_t ticket) {
  engine::TaskHost* const here = engine::current();
  if (here == nullptr) throw ResultGone();
  return here->take_delivery(ticket);
}

}  // namespace rankview::detail

#include <execinfo.h>

namespace rankview::engine {
namespace {

struct Crash {
  int signal;
  const char* name;
  bool reported = false;         // by this
  bool programs = false;         // the program has a handler
  struct sigaction before = {};  // who comes behind this
};

std::array<Crash, 5> crashes{{{SIGSEGV, "segmentation fault"},
                              {SIGBUS, "bus error"},
                              {SIGFPE, "arithmetic error"},
                              {SIGILL, "illegal instruction"},
                              {SIGABRT, "abort"}}};

// Who tells where it was: the process that it is true of, and that one's server.
std::atomic<pid_t> told_process{0};
std::atomic<int> told_server{-1};
std::atomic<int> server_wait{0};  // milliseconds

// Text that is put together where nothing may be allocated.
class Line {
 public:
  Line& operator<<(std::string_view text) {
    const std::size_t count = std::min(text.size(), text_.size() - size_);
    std::copy_n(text.begin(), count, text_.begin() + static_cast<std::ptrdiff_t>(size_));
    size_ += count;
    return *this;
  }
  Line& number(std::uint64_t value, int base = 10) {
    std::array<char, 24> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, base).ptr;
    return *this << std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data()));
  }
  void write() const {
    // Nothing can be done about it if that fails.
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text_.data(), size_);
  }

 private:
  std::array<char, 400> text_{};
  std::size_t size_ = 0;
};

void tell(const Crash& crash, const siginfo_t* info) {
  capture::give_back();
  const TaskHost* const host = current();
  const TaskId task = host == nullptr ? TaskId{} : host->running();
  liveness::tell_crash(crash.signal, task);
  Line line;
  line << "rankview: process ";
  line.number(static_cast<std::uint64_t>(::getpid()));
  if (host != nullptr) {
    line << ", engine ";
    line.number(static_cast<std::uint64_t>(host->id()));
  }
  line << ", gets signal ";
  line.number(static_cast<std::uint64_t>(crash.signal));
  line << " (" << crash.name << ")";
  if (crash.signal != SIGABRT && info != nullptr) {
    line << " at address 0x";
    line.number(reinterpret_cast<std::uintptr_t>(info->si_addr), 16);
  }
  if (task.call != 0) {
    line << " in task ";
    line.number(task.call) << ".";
    line.number(task.item) << "; with isolation = rv::process that would have been the error of this task alone";
  }
  line << "\n";
  line.write();
}

// By address alone, if need be: names take more than may be done here.
void tell_places(std::span<void* const> addresses) {
  isolation::Trace trace;
  isolation::locate(addresses, trace);
  if (told_process == ::getpid() && told_server >= 0 && isolation::tell_server(told_server, trace, std::chrono::milliseconds(server_wait)))
    return;
  for (std::size_t i = 0; i < trace.count; ++i) {
    const isolation::Trace::Call& call = trace.calls[i];
    Line line;
    line << "  at 0x";
    line.number(call.address, 16);
    if (const auto path = trace.path_of(call); !path.empty()) {
      line << " (" << path << "+0x";
      line.number(call.from_start, 16) << ")";
    }
    line << "\n";
    line.write();
  }
}

void on_crash(int signal, siginfo_t* info, void* context) {
  auto* const crash = std::find_if(crashes.begin(), crashes.end(), [signal](const Crash& known) { return known.signal == signal; });
  const struct sigaction& before = crash->before;
  // A crash in here goes on.
  ::sigaction(signal, &before, nullptr);
  tell(*crash, info);
  std::array<void*, isolation::Trace::most> addresses{};
  std::size_t count = 0;
  {
    const isolation::BacktraceLimit limit;
    count = static_cast<std::size_t>(backtrace(addresses.data(), static_cast<int>(addresses.size())));
  }
  constexpr std::size_t own = 2;  // this handler, and what the system has called it by
  if (count > own) tell_places(std::span(addresses).subspan(own, count - own));
  if ((before.sa_flags & SA_SIGINFO) != 0) {
    before.sa_sigaction(signal, info, context);
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(signal);
  } else {
    std::raise(signal);
  }
}

}  // namespace

void note_crash_handlers() {
  for (Crash& crash : crashes) {
    struct sigaction there = {};
    ::sigaction(crash.signal, nullptr, &there);
    crash.programs = !crash.reported && ((there.sa_flags & SA_SIGINFO) != 0 || there.sa_handler != SIG_DFL);
  }
}

void report_crashes(int server, std::chrono::milliseconds wait) {
  isolation::prime_traces();
  told_process = ::getpid();
  told_server = server;
  server_wait = static_cast<int>(wait.count());
  for (Crash& crash : crashes) {
    if (crash.programs || crash.reported) continue;
    struct sigaction action = {};
    action.sa_sigaction = &on_crash;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    crash.reported = ::sigaction(crash.signal, &action, &crash.before) == 0;
  }
}

void report_without_server() { told_server = -1; }

void report_no_crashes() {
  for (const Crash& crash : crashes) {
    if (crash.reported) std::signal(crash.signal, SIG_DFL);
  }
}

struct HandlerStack::Memory {
  std::array<std::byte, std::size_t{64} * 1024> bytes;
};

HandlerStack::HandlerStack() {
  stack_t there{};
  ::sigaltstack(nullptr, &there);
  if ((there.ss_flags & SS_DISABLE) == 0) return;
  memory_ = std::make_unique<Memory>();
  stack_t stack{};
  stack.ss_sp = memory_->bytes.data();
  stack.ss_size = memory_->bytes.size();
  ::sigaltstack(&stack, nullptr);
}

HandlerStack::~HandlerStack() {
  if (memory_ == nullptr) return;
  stack_t none{};
  none.ss_flags = SS_DISABLE;
  ::sigaltstack(&none, nullptr);
}

}  // namespace rankview::engine

namespace rankview::engine {
namespace {

thread_local TaskHost* of_this_thread = nullptr;
std::atomic<TaskHost*> of_this_process{nullptr};

}  // namespace

TaskHost* current() { return of_this_thread != nullptr ? of_this_thread : of_this_process.load(std::memory_order_acquire); }

TaskHost* running_here() { return of_this_thread; }

RunningHere::RunningHere(TaskHost* host) : before_(std::exchange(of_this_thread, host)) {}

RunningHere::~RunningHere() { of_this_thread = before_; }

ServingHere::ServingHere(TaskHost& host, bool own_process) : here_(&host), own_process_(own_process) {
  if (own_process_) of_this_process.store(&host, std::memory_order_release);
}

ServingHere::~ServingHere() {
  if (own_process_) of_this_process.store(nullptr, std::memory_order_release);
}

}  // namespace rankview::engine

namespace rankview::engine {

void Deliveries::expect(const wire::Batch& batch, const std::set<int>& lost) {
  for (std::size_t i = 0; i < batch.holders.size(); ++i) {
    Delivery& delivery = known_.try_emplace(batch.first_ticket + i).first->second;
    delivery.from = batch.holders[i];
    if (lost.contains(delivery.from)) end_without(delivery);
  }
}

// Nothing comes.
void Deliveries::end_without(Delivery& delivery) {
  if (delivery.message != nullptr) return;
  delivery.message = std::make_shared<InMessage>();
  delivery.found = false;
}

Deliveries::Messages Deliveries::forget(int engine) {
  unwanted_.forget(engine + 1);
  Messages dropped;
  for (auto delivery = known_.begin(); delivery != known_.end();) {
    const auto each = delivery++;
    if (each->second.from != engine) continue;
    end_without(each->second);
    drop_unwanted(each, dropped);
  }
  return dropped;
}

Deliveries::Messages Deliveries::expect_no_more(const wire::Batch& batch) {
  Messages dropped;
  for (std::size_t i = 0; i < batch.holders.size(); ++i) {
    const auto delivery = known_.find(batch.first_ticket + i);
    if (delivery == known_.end()) continue;
    delivery->second.wanted = false;
    drop_unwanted(delivery, dropped);
  }
  return dropped;
}

Deliveries::Messages Deliveries::arrived(const wire::Delivery& record, const std::shared_ptr<InMessage>& message) {
  Messages dropped;
  const auto delivery = known_.try_emplace(record.ticket).first;
  delivery->second.message = message;
  delivery->second.found = record.found != 0;
  delivery->second.value = record.value;
  drop_unwanted(delivery, dropped);
  return dropped;
}

void Deliveries::drop_unwanted(std::map<std::uint64_t, Delivery>::iterator delivery, Messages& dropped) {
  if (delivery->second.wanted || delivery->second.message == nullptr) return;
  dropped.push_back(std::move(delivery->second.message));
  known_.erase(delivery);
}

bool Deliveries::any_unwanted() const {
  return std::any_of(known_.begin(), known_.end(), [](const auto& known) { return !known.second.wanted; });
}

void UnwantedAttachments::receive(transport::Endpoint& endpoint, InMessage& message) {
  if (std::exchange(message.received, true)) return;
  transfers_.emplace_back(message.frame.peer, endpoint.receive(message.frame, {}));
}

void UnwantedAttachments::forget(int peer) {
  std::erase_if(transfers_, [peer](const auto& transfer) { return transfer.first == peer; });
}

bool UnwantedAttachments::any_left() {
  std::erase_if(transfers_, [](const auto& transfer) { return transfer.second->done(); });
  return !transfers_.empty();
}

}  // namespace rankview::engine

// What an engine says when somebody wants to know what it does.
namespace rankview::engine {

std::string Engine::describe() {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
  // While a task runs the lock can be had.
  for (; std::chrono::steady_clock::now() < end; std::this_thread::sleep_for(std::chrono::microseconds(100))) {
    if (!lock_.try_lock()) continue;
    const std::lock_guard guard(lock_, std::adopt_lock);
    if (std::string text = describe_runs(); !text.empty()) return text;
  }
  return std::string("runs no task, and waits for ") + loop_.waits_for() + "\n";
}

std::string Engine::describe_runs() const {
  const std::int64_t now = settings_.clock.now();
  std::string text;
  for (const ItemRun* run = runs_.running(); run != nullptr; run = run->waiting) {
    if (run->end == 0) continue;
    const double seconds = static_cast<double>(now - run->began) * 1e-9;
    text += std::string(text.empty() ? "runs task " : ", above task ") + std::to_string(run->call) + "." + std::to_string(run->item) +
            (run == runs_.running() ? " since " : ", which waits for a subtask, begun ") + std::to_string(seconds) +
            (run == runs_.running() ? " s" : " s ago");
  }
  for (const auto& run : slot_runs_.all()) {
    const double seconds = static_cast<double>(now - run->began) * 1e-9;
    text += std::string(text.empty() ? "runs task " : ", beside task ") + std::to_string(run->batch.call) + "." +
            std::to_string(run->item) + " in a process, since " + std::to_string(seconds) + " s";
  }
  if (text.empty()) return text;
  const std::size_t behind = inbox_.size();
  if (behind != 0) text += "; " + std::to_string(behind) + (behind == 1 ? " batch waits" : " batches wait") + " behind it";
  return text + "\n";
}

}  // namespace rankview::engine

// The loop of an engine, and what it is told. How it runs tasks is in run_batch.cpp.
namespace rankview::engine {

// Reached by who does not get it at once, so that what runs a task need not look whether it is a forked child.
void EngineLock::wait() const {
  if (forked_) transport::end_process(1, "a child that a task has forked came back from the task, or used rankview: end it with _exit()");
  std::this_thread::yield();
}

Engine::Engine(const Settings& settings, Variables& variables)
    : settings_(settings), variables_(variables), loop_(settings.idle), progress_thread_([this] { beat(); }) {
  static const int registered = pthread_atfork(nullptr, nullptr, [] {
    if (TaskHost* const here = running_here()) here->withhold();
  });
  static_cast<void>(registered);
  if (settings_.progress_thread) progress_thread_.start(settings_.clock);
}

wire::End Engine::serve(transport::Endpoint& endpoint) {
  outbox_.attach(endpoint);
  loop_.begin();
  const ServingHere here(*this, settings_.own_process);
  const HandlerStack handler_stack;
  const capture::Diverted diverted(settings_.outputs);

  runs_.forget_stack();
  memory_report_.reset();
  transport::Idle idle(loop_.spin());
  while (!end_.known() || !inbox_.empty() || slot_runs_.size() != 0) {
    let_go();
    if (carry_out_next()) {
      idle.reset();
      continue;
    }
    outbox_.flush();
    deliveries_.progress();
    if (slot_runs_.size() != 0) {
      // These end without a message.
      poll_or_nap(idle);
      continue;
    }
    if (inbox_.empty()) inbox_.forget_stops();
    if (endpoint.poll(*this)) {
      idle.reset();
      memory_report_.note_message();
      continue;
    }
    if (memory_report_.due_after_look()) report_memory();
    if (endpoint.doze(idle)) progress_thread_.park();
  }
  // What arrives from here on belongs to the next run.
  wire::End end = end_.take();
  inbox_.forget_stops();
  teams_.forget_turns();
  auto objects = callables_.clear();
  left_.insert(left_.end(), std::make_move_iterator(objects.begin()), std::make_move_iterator(objects.end()));
  for (auto& entry : cache_.clear()) left_.push_back(std::move(entry.value));
  leave();

  // Something of the next run may have come already.
  if (inbox_.empty()) progress_thread_.park();
  outbox_.detach();
  return end;
}

void Engine::leave() {
  outbox_.write(wire::Bye{});
  outbox_.flush();
  transport::Idle idle(loop_.spin());
  while (!outbox_.endpoint().flushed() || deliveries_.progress() || deliveries_.any_unwanted()) {
    let_go();
    if (outbox_.endpoint().poll(*this)) {
      idle.reset();
    } else {
      outbox_.endpoint().doze(idle);
    }
  }
  let_go();
}

void Engine::destroy_left() {
  auto left = std::exchange(left_, {});
  auto of_messages = inbox_.take_left();
  auto sent = outbox_.endpoint().take_sent();
  const EngineLock::Lent lent(lock_);
  left.clear();
  of_messages.clear();
  sent.clear();
}

bool Engine::carry_out_next() {
  if (collect()) return true;
  if (inbox_.empty() || (settings_.slots != nullptr && !may_begin(inbox_.front()))) return false;
  Inbox::Command next = inbox_.pop();
  if (settings_.slots != nullptr && isolated(next)) {
    run_beside(std::move(next));
  } else if (const auto* batch = std::get_if<wire::Batch>(&next.what)) {
    run(*batch, *next.message, next.number);
    done_with(*batch, *next.message);
  } else if (const auto* join_team = std::get_if<wire::Join>(&next.what)) {
    join(*join_team);
  } else {
    teams_.disband(std::get<wire::Disband>(next.what).team);
  }
  return true;
}

// Making a communicator blocks, so nobody begins before all are there.
void Engine::join(const wire::Join& join) {
  const Loop::WaitingFor waiting(loop_, "the other engines of a team, to make a communicator with them");
  teams_.join(join.team, {join.engines.begin(), join.engines.end()});
  outbox_.write(wire::TeamReady{join.team});
  outbox_.flush();
  transport::Idle idle(loop_.spin());
  while (!teams_.may_make(join.team) && !teams_.broken(join.team)) poll_or_nap(idle);
  if (!teams_.may_make(join.team)) {
    RANKVIEW_MARK(team_broken_before_made);
    return;
  }
  std::vector<int> peers;
  for (const std::int32_t id : join.engines) peers.push_back(id + 1);
  // Should one of them die just now, this never ends.
  const std::uint64_t turn = teams_.begin_making(join.team);
  std::unique_ptr<transport::Team> made;
  {
    const EngineLock::Lent lent(lock_);
    made = outbox_.endpoint().assemble(turn, peers);
  }
  teams_.made(join.team, std::move(made));
}

// It has been run, or will not be: takes in what was sent for it and is not needed.
void Engine::done_with(const wire::Batch& batch, InMessage& message) {
  drop(message);
  drop(deliveries_.expect_no_more(batch));
}

// A look for messages, or a pause between two, for who waits for one. In the pause the progress thread may do something.
void Engine::poll_or_nap(transport::Idle& idle) {
  if (outbox_.endpoint().poll(*this)) {
    idle.reset();
  } else if (const auto pause = idle.pause(); pause.count() != 0) {
    const EngineLock::Lent lent(lock_);
    settings_.clock.nap(pause);
  }
}

// Between two tasks, now and then.
void Engine::look(std::int64_t now) {
  constexpr int flood = 64;
  for (int i = 0; i < flood && outbox_.endpoint().poll(*this); ++i) continue;
  let_go();
  loop_.note_look(now);
  deliveries_.progress();
  // Without a progress thread nobody would send them during the next task, however long that is.
  if (outbox_.due(now) || (outbox_.has_results() && !settings_.progress_thread)) outbox_.flush();
}

void Engine::report_memory() {
  const std::int64_t begin = settings_.clock.now();
  // A thread of the client's process may be about to sleep until the next message.
  if (memory_report_.too_early(begin) && settings_.own_process) return;
  const wire::Memory memory{variables_.size(), variables_.bytes()};
  if (!memory_report_.counted(memory, begin, settings_.clock.now())) return;
  outbox_.write(memory);
  outbox_.flush();
}

// In the progress thread, while one item takes long.
void Engine::beat() {
  if (!lock_.try_lock()) return;
  std::unique_lock held(lock_, std::adopt_lock);
  // Between two runs there is no endpoint; the loop then has the lock, and this is not reached.
  constexpr int flood = 64;
  for (int i = 0; i < flood && outbox_.endpoint().poll(*this); ++i) continue;
  if (runs_.overdue(settings_.clock) && !std::exchange(runs_->told_overdue, true)) {
    runs_.want_stop();
    outbox_.write(wire::Overdue{runs_->call, runs_->item});
  }
  end_if_stuck();
  outbox_.flush();
  if (end_.client_failed_since(settings_.grace, settings_.clock.now()))
    transport::end_process(static_cast<int>(end_->exit_code),
                           "the client failed (" + end_->reason + "), and the running task of engine " + std::to_string(settings_.id) +
                               " did not stop within " + std::to_string(settings_.grace.count()) + " ms (RANKVIEW_SHUTDOWN_GRACE_MS)");
  std::stop_source due = runs_.due_stop(settings_.clock);
  held.unlock();
  const RunningHere here(this);  // for callbacks of the task's stop token
  due.request_stop();
}

// The task may wait in MPI for an engine that has died, where nobody can call it back.
void Engine::end_if_stuck() {
  const auto broken_for = teams_.broken_for(runs_->team, settings_.clock.now());
  if (!broken_for) return;
  runs_.want_stop();
  if (std::chrono::nanoseconds(*broken_for) > settings_.team_grace)
    transport::end_process(1, "engine " + std::to_string(settings_.id) +
                                  " ends: it runs a task together with an engine that has died, has not ended or begun it within " +
                                  std::to_string(settings_.team_grace.count()) +
                                  " ms (RANKVIEW_TEAM_GRACE_MS), and may wait for that one in MPI");
}

// ---- what rank 0 and other engines say ---------------------------------------------------------------------------------------

void Engine::on_frame(transport::Frame& frame) {
  const std::shared_ptr<InMessage> message = inbox_.take_in(frame);
  detail::Reader in(frame.records);
  try {
    while (!in.done()) on_record(wire::read(in), message);
  } catch (const DecodeError& error) {
    // Who can no longer understand the controller can only end: with tasks lost, going on would wait for ever.
    transport::end_process(1, "engine " + std::to_string(settings_.id) + " received a message it cannot read: " + wire::error_text(error));
  }
}

void Engine::on_record(const wire::Record& record, const std::shared_ptr<InMessage>& message) {
  if (const auto* batch = std::get_if<wire::Batch>(&record)) {
    on_batch(*batch, message);
  } else if (const auto* state = std::get_if<wire::CallableState>(&record)) {
    callables_.add(*state, message);
  } else if (const auto* drop_callable = std::get_if<wire::DropCallable>(&record)) {
    if (auto dropped = callables_.drop(drop_callable->call)) left_.push_back(std::move(dropped));
  } else if (const auto* end = std::get_if<wire::End>(&record)) {
    on_end(*end);
  } else if (const auto* stop = std::get_if<wire::Stop>(&record)) {
    inbox_.stop(*stop);
    slot_runs_.stop(*stop);
    if (inbox_.stopped(runs_->call, runs_->item, runs_->number)) runs_.want_stop();
  } else if (const auto* result = std::get_if<wire::SubtaskResult>(&record)) {
    if (!subtasks_.ended(*result) && result->failed != 0) report_unseen(result->value);
  } else if (const auto* forward = std::get_if<wire::Forward>(&record)) {
    deliver(*forward);
  } else if (const auto* delivery = std::get_if<wire::Delivery>(&record)) {
    drop(deliveries_.arrived(*delivery, message));
  } else if (const auto* lost = std::get_if<wire::Lost>(&record)) {
    on_lost(*lost);
  } else if (const auto* recall = std::get_if<wire::Recall>(&record)) {
    outbox_.write(inbox_.give_back(*recall, *runs_));
    outbox_.flush();
  } else if (const auto* join = std::get_if<wire::Join>(&record)) {
    inbox_.push({*join, nullptr});
  } else if (const auto* disband = std::get_if<wire::Disband>(&record)) {
    inbox_.push({*disband, nullptr});
  } else if (const auto* assemble = std::get_if<wire::Assemble>(&record)) {
    teams_.give_turn(assemble->team, assemble->turn);
  } else {
    throw DecodeError("a record that engines only send to rank 0");
  }
}

void Engine::on_batch(const wire::Batch& batch, const std::shared_ptr<InMessage>& message) {
  deliveries_.expect(batch, teams_.dead());
  // What others do with this engine is done to its end.
  if (end_.client_failed() && batch.team == 0) {
    done_with(batch, *message);
    return;
  }
  inbox_.push({batch, message});
  progress_thread_.wake();
}

// Another engine has died: what was on its way from there does not come.
void Engine::on_lost(const wire::Lost& lost) {
  const int id = static_cast<int>(lost.engine);
  teams_.lose(id);
  outbox_.endpoint().forget(id + 1);
  drop(deliveries_.forget(id));
}

void Engine::on_end(const wire::End& end) {
  end_.note(end, settings_.clock.now());
  if (!end_.client_failed()) return;
  runs_.want_stop();
  slot_runs_.stop_all();
  // What has not begun is dropped, but for what others would miss this engine in.
  for (const Inbox::Command& dropped : inbox_.take_batches()) done_with(std::get<wire::Batch>(dropped.what), *dropped.message);
}

}  // namespace rankview::engine

#include <cxxabi.h>

namespace rankview::engine {
namespace {

std::string current_type() {
  const std::type_info* const type = abi::__cxa_current_exception_type();
  return type == nullptr ? "an exception of unknown type" : type_name(*type);
}

}  // namespace

wire::Failure describe_current_exception() {
  static_cast<void>(detail::caught());
  using enum wire::FailureKind;
  try {
    throw;
  } catch (const Described& described) {
    return described.failure;
  } catch (const detail::StoodBack&) {
    return {stood_back, "", ""};
  } catch (const detail::TeamBroken&) {
    return {team_broken, "", ""};
  } catch (const detail::ResultGone&) {
    return {gone, "", ""};
  } catch (const NameError& error) {
    return {name, "rankview::NameError", error.message()};
  } catch (const TypeError& error) {
    return {type, "rankview::TypeError", error.message()};
  } catch (const std::exception& error) {
    return {exception, type_name(typeid(error)), wire::error_text(error)};
  } catch (const std::string& text) {
    return {exception, "std::string", text};
  } catch (const char* text) {
    return {exception, "const char*", text == nullptr ? "(null)" : text};
  } catch (const int value) {
    return {exception, "int", std::to_string(value)};
  } catch (const long value) {
    return {exception, "long", std::to_string(value)};
  } catch (const double value) {
    return {exception, "double", std::to_string(value)};
  } catch (...) {
    return {exception, current_type(), "thrown, and not derived from std::exception, so there is no message"};
  }
}

std::string describe_uncaught() {
  static_cast<void>(detail::caught());
  try {
    throw;
  } catch (const RemoteError& error) {
    return type_name(typeid(error)) + ": " + wire::error_text(error);
  } catch (...) {
    const wire::Failure failure = describe_current_exception();
    return failure.type_name + ": " + failure.message;
  }
}

}  // namespace rankview::engine

namespace rankview::inline abi_0_1::detail {

std::exception_ptr caught() noexcept {
  if (std::exception_ptr exception = std::current_exception()) return exception;
  const engine::TaskHost* const host = engine::current();
  transport::end_process(
      1, host == nullptr
             ? "the client's thread was ended by pthread_exit or pthread_cancel, and with it the program; return instead"
             : "a task left engine " + std::to_string(host->id()) +
                   " by pthread_exit, or cancelled its thread: the engine cannot go on without it; return from the task instead");
}

}  // namespace rankview::detail

// Items whose results are folded on the engine: they end together, and the last of them has the value.
namespace rankview::engine {

// Reports what has been folded so far.
void Engine::end_fold(std::uint64_t call, const Code& code) {
  if (runs_->folded_items.empty()) return;
  runs_->result.rewind({0, 0, 0});
  bool failed = false;
  try {
    fold(code, code.thunk->finish);
  } catch (...) {
    runs_->result.rewind({0, 0, 0});
    wire::write(runs_->result, describe_current_exception());
    failed = true;
  }
  end_folded_items(call, failed);
}

// An item has failed behind those that have been folded. If that was in folding, what they made is lost, and they have failed, too.
void Engine::fail_fold(std::uint64_t call, const Code& code) {
  detail::Writer failure = std::exchange(runs_->result, {});
  if (runs_->folded != nullptr) {
    end_fold(call, code);
  } else {
    runs_->result.raw(failure.bytes.data(), failure.bytes.size());
    end_folded_items(call, true);
  }
  runs_->result = std::move(failure);
}

// runs_->result has the value of all of them, or why they failed.
void Engine::end_folded_items(std::uint64_t call, bool failed) {
  detail::Writer value = std::exchange(runs_->result, {});
  for (const FoldedItem& item : runs_->folded_items) {
    const bool last = &item == &runs_->folded_items.back();
    runs_->result.rewind({0, 0, 0});
    if (failed) {
      // NOLINTNEXTLINE(bugprone-use-after-move): only the last turn moves it
      runs_->result.raw(value.bytes.data(), value.bytes.size());
    } else if (last) {
      runs_->result = std::move(value);
    }
    outbox_.add_result(call, item.item, item.started, item.completed, failed, runs_->result);
  }
  runs_->folded_items.clear();
  runs_->result.rewind({0, 0, 0});
}

}  // namespace rankview::engine

namespace rankview::engine {

// What a task of a collective call sees of its team.
class Group final : public detail::Group {
 public:
  // `votes`: rounds of voting that the call has. `broken`: whether one of the team has died; asked again and again by who waits.
  Group(std::shared_ptr<transport::Team> team, transport::SpinTime& spin, const transport::Clock& clock, std::uint64_t votes,
        std::function<bool()> broken)
      : owner_(std::move(team)), team_(*owner_), spin_(spin), clock_(clock), votes_(votes), is_broken_(std::move(broken)) {}

  [[nodiscard]] std::size_t index() const override { return static_cast<std::size_t>(team_.member()) - 1; }
  [[nodiscard]] std::size_t size() const override { return team_.engines(); }

  void keep(std::shared_ptr<const void> memory) override { kept_.push_back(std::move(memory)); }
  [[nodiscard]] bool broken() const override { return broken_; }
  // The item is over: nothing is kept for it any more.
  void end_item() { kept_.clear(); }

  std::uint64_t agree(std::uint64_t count) override;
  // Before and after a task with a communicator: has one made if there is none; tells the others how the task ended, and gives the
  // communicator up if it failed on any of them, since messages of that task may still be under way on it. `late` is called once if others
  // keep this engine waiting.
  void prepare();
  void settle(bool failed, const std::function<void()>& late);

  // The task has failed: votes against, if others wait for this engine's vote.
  void refuse();

  void broadcast(void* to, std::uint64_t bytes) override;
  void scatter(void* to, const detail::Deal& deal) override;
  void gather(const void* from, std::uint64_t count, const detail::Deal& deal) override;
  void reduce(const void* from, std::uint64_t count, detail::Element element, detail::Operation operation) override;

  void barrier() override;
  void allreduce(const void* from, void* to, std::uint64_t count, detail::Element element, detail::Operation operation) override;
  void allgather_counts(std::uint64_t count, std::span<std::uint64_t> counts) override;
  void allgather(const void* from, void* to, std::span<const std::uint64_t> counts, std::uint64_t element_bytes) override;
  void share(void* data, std::uint64_t bytes, std::size_t source) override;
  void send(std::size_t to, std::span<const std::byte> bytes) override;
  detail::Buffer receive(std::size_t from) override;

  const boost::mpi::communicator& communicator() override { return team_.communicator(); }

 private:
  transport::Verdict vote(const transport::Vote& own);
  // `bytes`: how much the transfer moves of rank 0's.
  void wait(transport::Team::Begun transfer, std::uint64_t bytes = 0, const std::function<void()>& late = {});
  [[noreturn]] void give_up(transport::Team::Begun transfer, std::uint64_t bytes);

  std::shared_ptr<transport::Team> owner_;
  transport::Team& team_;
  transport::SpinTime& spin_;
  const transport::Clock& clock_;
  std::uint64_t votes_;
  std::function<bool()> is_broken_;
  bool broken_ = false;
  boost::container::small_vector<std::shared_ptr<const void>, 4> kept_;
  bool agreed_ = false;
};

}  // namespace rankview::engine

namespace rankview::engine {
namespace {

const std::byte* bytes(const void* data) { return static_cast<const std::byte*>(data); }
std::byte* bytes(void* data) { return static_cast<std::byte*>(data); }

}  // namespace

// Before the vote others may be late by any time, so who waits sleeps in the end. After it all are there, and looking is what moves the
// data.
void Group::wait(transport::Team::Begun transfer, std::uint64_t bytes, const std::function<void()>& late) {
  constexpr unsigned looks_between = 256;
  if (broken_) throw detail::TeamBroken();
  transport::Idle idle(spin_);
  bool told = false;
  for (unsigned looks = 1; !transfer->done(); ++looks) {
    if (agreed_) {
      if (looks % looks_between == 0 && is_broken_()) give_up(std::move(transfer), bytes);
      clock_.spin();
      continue;
    }
    const auto pause = idle.pause();
    if (pause.count() == 0) continue;
    if (is_broken_()) give_up(std::move(transfer), bytes);
    if (late && !std::exchange(told, true)) late();
    clock_.nap(pause);
  }
  idle.reset();
}

// What is on its way between those that live arrives in the meantime: rank 0's call ends when all of them are here, and then the client may
// free the array that they read or write. MPI may go on with the rest for ever, so all that it may look at on this engine is never freed.
void Group::give_up(transport::Team::Begun transfer, std::uint64_t bytes) {
  constexpr std::int64_t at_least = 200'000'000;  // nanoseconds
  constexpr std::int64_t slowest = 10;            // nanoseconds a byte
  const std::int64_t patience = at_least + slowest * static_cast<std::int64_t>(bytes);
  static auto& for_ever = *new std::vector<std::shared_ptr<const void>>;
  RANKVIEW_MARK(team_given_up_in_collective);
  broken_ = true;
  const std::int64_t limit = clock_.now() + patience;
  while (!transfer->done() && clock_.now() < limit) clock_.spin();
  for_ever.insert(for_ever.end(), kept_.begin(), kept_.end());
  for_ever.push_back(std::move(transfer));
  for_ever.push_back(owner_);
  throw detail::TeamBroken();
}

void Group::prepare() {
  if (team_.has_communicator()) return;
  wait(team_.barrier());  // making one blocks, so all come first
  team_.make_communicator();
}

void Group::settle(bool failed, const std::function<void()>& late) {
  if (broken_) return;
  const auto count = std::make_shared<std::int64_t>(failed ? 1 : 0);
  keep(count);
  std::int64_t& ill = *count;
  try {
    wait(team_.count_ill(ill), 0, late);
  } catch (const detail::TeamBroken&) {
    return;
  }
  if (ill != 0) team_.drop_communicator();
}

transport::Verdict Group::vote(const transport::Vote& own) {
  struct Ballot {
    transport::Vote own;
    transport::Verdict verdict;
  };
  const auto ballot = std::make_shared<Ballot>();
  ballot->own = own;
  keep(ballot);
  --votes_;
  transport::Team::Begun cast = team_.gather_votes(ballot->own, {});
  wait(team_.announce(ballot->verdict));
  wait(std::move(cast));
  if (ballot->verdict.go == 0) votes_ = 0;
  return ballot->verdict;
}

std::uint64_t Group::agree(std::uint64_t count) {
  const transport::Verdict verdict = vote({1, count});
  if (verdict.go == 0) throw detail::StoodBack();
  agreed_ = votes_ == 0;
  return verdict.total;
}

void Group::refuse() {
  if (votes_ == 0 || broken_) return;
  try {
    vote({0, 0});
  } catch (const detail::TeamBroken&) {
    // Nobody waits for it any more.
    return;
  }
}

void Group::broadcast(void* to, std::uint64_t size) { wait(team_.broadcast(bytes(to), size), size); }

void Group::scatter(void* to, const detail::Deal& deal) { wait(team_.scatter(nullptr, bytes(to), deal), deal.total * deal.element_bytes); }

void Group::gather(const void* from, std::uint64_t count, const detail::Deal& deal) {
  wait(team_.gather(bytes(from), nullptr, count, {}, deal), count * deal.element_bytes);
}

void Group::reduce(const void* from, std::uint64_t count, detail::Element element, detail::Operation operation) {
  wait(team_.reduce(const_cast<std::byte*>(bytes(from)), count, element, operation), count * detail::size_of(element));
}

void Group::barrier() { wait(team_.barrier()); }

void Group::allreduce(const void* from, void* to, std::uint64_t count, detail::Element element, detail::Operation operation) {
  wait(team_.allreduce(bytes(from), bytes(to), count, element, operation));
}

void Group::allgather_counts(std::uint64_t count, std::span<std::uint64_t> counts) { wait(team_.allgather_counts(count, counts)); }

void Group::allgather(const void* from, void* to, std::span<const std::uint64_t> counts, std::uint64_t element_bytes) {
  wait(team_.allgather(bytes(from), bytes(to), index(), counts, element_bytes));
}

void Group::share(void* data, std::uint64_t size, std::size_t source) { wait(team_.share(bytes(data), size, source)); }

void Group::send(std::size_t to, std::span<const std::byte> data) { wait(team_.send(to, data)); }

detail::Buffer Group::receive(std::size_t from) {
  const auto arrived = std::make_shared<detail::Buffer>();
  keep(arrived);
  try {
    wait(team_.receive(from, *arrived));
  } catch (const std::bad_alloc&) {
    // The others are beyond the point where anybody could stand back.
    transport::end_process(1, "an engine ran out of memory in the middle of a collective");
  }
  return std::move(*arrived);
}

}  // namespace rankview::engine

namespace rankview::engine {

std::shared_ptr<InMessage> Inbox::take_in(transport::Frame& frame) {
  if (last_ == nullptr || last_.use_count() > 1) {
    last_ = {new InMessage, [this](InMessage* message) {
               leave(message->local);
               delete message;
             }};
  }
  InMessage& message = *last_;
  leave(message.local);
  message.bytes.clear();
  message.frame = {};
  if (frame.local != nullptr) {
    const auto offset = static_cast<std::size_t>(frame.records.data() - frame.local->bytes.data());
    message.local = std::move(*frame.local);
    frame.records = message.local.bytes.bytes().subspan(offset);
    message.frame.local = &message.local;
  } else if (frame.owned != nullptr) {
    message.bytes = std::move(*frame.owned);
    frame.records = message.bytes.bytes().first(frame.records.size());
  } else {
    message.bytes.append(frame.records.data(), frame.records.size());
    frame.records = message.bytes.bytes();
  }
  message.attachment_sizes.assign(frame.attachment_sizes.begin(), frame.attachment_sizes.end());
  message.received = message.attachment_sizes.empty();
  message.frame.peer = frame.peer;
  message.frame.tag = frame.tag;
  message.frame.attachment_sizes = message.attachment_sizes;
  return last_;
}

void Inbox::leave(detail::Writer& local) {
  left_.insert(left_.end(), std::make_move_iterator(local.kept.begin()), std::make_move_iterator(local.kept.end()));
  local.kept.clear();
}

Inbox::Command Inbox::pop() {
  Command next(std::move(commands_.front()));
  commands_.pop_front();
  return next;
}

std::vector<Inbox::Command> Inbox::take_batches() {
  std::vector<Command> taken;
  std::deque<Command> others;
  for (Command& command : commands_) {
    const auto* const batch = std::get_if<wire::Batch>(&command.what);
    if (batch != nullptr && batch->team == 0) {
      taken.push_back(std::move(command));
    } else {
      others.push_back(std::move(command));
    }
  }
  commands_ = std::move(others);
  return taken;
}

wire::Returned Inbox::give_back(const wire::Recall& recall, ItemRun& running) {
  wire::Returned returned;
  // Cuts [first, end) to what comes before the recalled, if that is its end.
  const auto cut = [&](const wire::Items& wanted, std::uint64_t first, std::uint64_t& end) {
    const std::uint64_t from = std::max(first, wanted.first);
    if (from >= end || wanted.first + wanted.count < end || (wanted.whole != 0 && (from != wanted.first || from + wanted.count != end)))
      return;
    returned.items.push_back({wanted.call, from, end - from, wanted.whole});
    end = from;
  };
  for (const wire::Items& wanted : recall.items) {
    for (ItemRun* run = &running; run != nullptr; run = run->waiting) {
      if (wanted.call != run->call || !run->movable) continue;
      RANKVIEW_MARK(given_back_by_running_batch);
      cut(wanted, run->item + 1, run->end);
    }
    for (Command& command : commands_) {
      auto* const batch = std::get_if<wire::Batch>(&command.what);
      if (batch == nullptr || batch->call != wanted.call || !batch->movable || !command.message->attachment_sizes.empty()) continue;
      std::uint64_t end = batch->first + batch->count;
      cut(wanted, batch->first, end);
      batch->count = end - batch->first;
    }
  }
  std::erase_if(commands_, [](const Command& command) {
    const auto* const batch = std::get_if<wire::Batch>(&command.what);
    return batch != nullptr && batch->count == 0;
  });
  return returned;
}

wire::Returned Inbox::give_back_all(ItemRun& running) {
  wire::Recall everything;
  everything.items.push_back({running.call, running.item + 1, running.end - running.item - 1, 0});
  for (const Command& command : commands_) {
    if (const auto* const batch = std::get_if<wire::Batch>(&command.what))
      everything.items.push_back({batch->call, batch->first, batch->count, 0});
  }
  return give_back(everything, running);
}

bool Inbox::any_stop(std::uint64_t call, std::uint64_t item, std::uint64_t number) const {
  return std::any_of(stops_.begin(), stops_.end(), [=](const auto& each) {
    const auto& [stop, pushed] = each;
    return stop.call == call && stop.first <= item && item - stop.first < stop.count && number <= pushed;
  });
}

}  // namespace rankview::engine

// Items that run in a process of their own.
namespace rankview::engine {

class Engine::Watching final : public isolation::Watcher {
 public:
  explicit Watching(Engine& engine) : engine_(engine) {}

  [[nodiscard]] bool stop_requested() override { return engine_.stop_requested(); }
  void published(std::string_view name, const char* type, std::span<const std::byte> value) override { engine_.publish(name, type, value); }

 private:
  Engine& engine_;
};

// What the task refers to stays as long as `of_object` and `attachments`, and the message.
isolation::Task Engine::isolated_task(const wire::Batch& batch, InMessage& message, std::span<const std::byte> arguments,
                                      std::shared_ptr<InMessage>& of_object, std::vector<std::vector<std::byte>>& attachments) {
  isolation::Task task;
  task.thunk = batch.thunk;
  task.function = batch.function;
  task.flat = batch.flat;
  task.engine = settings_.id;
  task.engines = settings_.size;
  task.timeout = batch.timeout;
  task.memory_limit = batch.memory_limit;
  task.capture = settings_.capture;
  task.arguments = arguments;
  if (batch.has_object) {
    const CallableStates::State* const state = callables_.find(batch.call);
    if (state == nullptr) throw DecodeError("a task of call " + std::to_string(batch.call) + " came without its callable");
    of_object = state->message;
    task.has_object = true;
    task.object = state->bytes;
  }
  std::vector<detail::Claims::Place> places;
  for (const std::uint64_t size : message.attachment_sizes) {
    std::vector<std::byte>& attachment = attachments.emplace_back(size);
    places.push_back({attachment.data(), attachment.size()});
  }
  if (!message.received) receive(message, places);
  for (const auto& attachment : attachments) task.attachments.emplace_back(attachment);
  return task;
}

// Whether it went well; what it gave, or why it failed, is in its result.
bool Engine::run_isolated(const wire::Batch& batch, InMessage& message, std::span<const std::byte> arguments) {
  isolation::Runner* const runner = batch.forked ? settings_.in_fork : settings_.in_process;
  if (runner == nullptr) throw UsageError(isolation::no_server);
  std::shared_ptr<InMessage> of_object;
  std::vector<std::vector<std::byte>> attachments;
  const isolation::Task task = isolated_task(batch, message, arguments, of_object, attachments);
  isolation::Outcome outcome;
  {
    // What has been done before is not to wait for it.
    outbox_.flush();
    Watching watching(*this);
    const EngineLock::Lent lent(lock_);
    outcome = runner->run(task, watching);
  }
  tell_printed(runs_->call, runs_->item, outcome.printed);
  return take_outcome(std::move(outcome), runs_->result);
}

// Puts into an empty result what it gave, or why it failed. Whether it went well.
bool Engine::take_outcome(isolation::Outcome outcome, detail::Writer& result) {
  using Kind = isolation::Outcome::Kind;
  if (outcome.kind != Kind::value) {
    if (outcome.kind == Kind::timed_out) outcome.failure = {wire::FailureKind::timed_out, "", ""};
    if (outcome.kind == Kind::aborted) outcome.failure = {wire::FailureKind::killed, "", ""};
    wire::write(result, outcome.failure);
    return false;
  }
  result.raw(outcome.bytes.data(), outcome.bytes.size());
  const auto kept = std::make_shared<const std::vector<std::vector<std::byte>>>(std::move(outcome.attachments));
  for (const std::vector<std::byte>& attachment : *kept) result.attachments.push_back({attachment.data(), attachment.size()});
  if (!kept->empty()) result.kept.push_back(kept);
  return true;
}

}  // namespace rankview::engine

namespace rankview::engine {

void Outbox::add_result(std::uint64_t call, std::uint64_t item, std::int64_t started, std::int64_t completed, bool failed,
                        detail::Writer& value) {
  const bool alone = !value.attachments.empty();
  if (alone) flush();
  results_.add(call, item, started, completed, failed, value.bytes.bytes());
  if (oldest_result_ == 0) oldest_result_ = completed;
  if (!alone && !full()) return;
  message_.attachments = std::exchange(value.attachments, {});
  message_.kept = std::exchange(value.kept, {});
  flush();
}

void Outbox::send() {
  endpoint_->send(0, std::exchange(message_, endpoint_->message()));
  results_.close();
  oldest_result_ = 0;
}

}  // namespace rankview::engine

namespace rankview::engine {

ProgressThread::ProgressThread(std::function<void()> beat) : beat_(std::move(beat)) {}

ProgressThread::~ProgressThread() {
  activity_ = quitting;
  activity_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void ProgressThread::start(const transport::Clock& clock) {
  clock_ = clock;
  thread_ = transport::Thread(clock, [this] { run(); });
}

void ProgressThread::run() {
  constexpr auto period = std::chrono::milliseconds(1);
  std::uint64_t last = 0;
  for (;;) {
    clock_.wait(activity_, parked);
    if (activity_.load() == quitting) return;
    clock_.sleep(period);
    const std::uint64_t begun = items_begun_.load(std::memory_order_relaxed);
    if (begun == std::exchange(last, begun)) beat_();
  }
}

}  // namespace rankview::engine

namespace rankview::engine {

std::deque<ResultCache::Entry> ResultCache::add(std::uint64_t call, const detail::Writer& result, const std::type_info* type) {
  std::deque<Entry> evicted;
  std::size_t bytes = 0;
  for (const detail::Attachment& attachment : result.attachments) bytes += attachment.size;
  if (bytes == 0 || bytes > most_bytes || result.kept.size() != 1 || type == nullptr) return evicted;
  const auto encoded = result.bytes.bytes();
  entries_.push_back({call, type, result.kept.front(), bytes, {encoded.begin(), encoded.end()}, result.attachments});
  bytes_ += bytes;
  while (bytes_ > most_bytes) {
    bytes_ -= entries_.front().bytes;
    evicted.push_back(std::move(entries_.front()));
    entries_.pop_front();
  }
  return evicted;
}

const ResultCache::Entry* ResultCache::find(std::uint64_t call) const {
  const auto found = std::find_if(entries_.rbegin(), entries_.rend(), [call](const Entry& entry) { return entry.call == call; });
  return found == entries_.rend() ? nullptr : &*found;
}

std::deque<ResultCache::Entry> ResultCache::clear() {
  bytes_ = 0;
  return std::exchange(entries_, {});
}

}  // namespace rankview::engine

// How an engine runs the items of a batch.
namespace rankview::engine {

// What a thunk sees of the engine.
class Engine::Running final : public detail::Invocation {
 public:
  Running(Engine& engine, InMessage* message, const Code& code, detail::Reader& in, detail::Claims& claims, detail::Group* with)
      : Invocation(in, engine.runs_->result, code.function, code.object.get(), with, engine.runs_->folded),
        engine_(engine),
        message_(message),
        claims_(claims) {}

  void await_attachments() override {
    if (claims_.sizes().empty()) return;
    const std::lock_guard held(engine_.lock_);
    engine_.receive(*message_, claims_.places());
  }

 private:
  Engine& engine_;
  InMessage* message_;
  detail::Claims& claims_;
};

void Engine::run(const wire::Batch& batch, InMessage& message, std::uint64_t number) {
  Code code;
  wire::ItemCursor items(batch);
  std::optional<Group> group;
  if (batch.team != 0) {
    // Others may need what this engine has done before they can come.
    outbox_.flush();
    if (teams_.broken(batch.team)) {
      fail_batch(batch);
      return;
    }
    group.emplace(teams_.at(batch.team), loop_.spin(), settings_.clock, batch.votes, [this, &batch] { return team_broken(batch.team); });
  } else if (batch.slow) {
    outbox_.flush();
  }
  memory_report_.note_tasks();
  // What an isolated one prints is taken where it runs.
  capture::Outputs* const outputs = batch.isolated ? nullptr : settings_.outputs;
  std::unique_ptr<capture::Printed> of_waiting = outputs != nullptr ? outputs->begin() : nullptr;
  ItemRun& run = *runs_;
  // What an item left that ran out of time is of another batch's type.
  if (run.folded != nullptr) left_.push_back(std::move(run.folded));
  std::int64_t started = settings_.clock.now();
  run.call = batch.call;
  run.end = batch.first + batch.count;
  run.number = number;
  run.team = batch.communicator ? batch.team : 0;
  run.movable = batch.movable && message.attachment_sizes.empty();
  for (std::uint64_t item = batch.first; item < run.end; ++item) {
    progress_thread_.note_item();
    run.result.bytes.clear();
    run.item = item;
    const auto arguments = next_arguments(items);
    // What engines run together is begun by all, or others would wait.
    if (batch.team == 0 && inbox_.stopped(batch.call, item, number)) {
      RANKVIEW_MARK(stopped_before_it_began);
      end_fold(batch.call, code);
      wire::write(run.result, wire::Failure{wire::FailureKind::stopped, "", ""});
      outbox_.add_result(batch.call, item, started, started, true, run.result);
      continue;
    }
    const bool well = run_item(batch, message, code, arguments, started, group ? &*group : nullptr);
    if (outputs != nullptr) take_printed(batch.call, item);
    const std::int64_t completed = settings_.clock.now();
    if (well && code.thunk->fold != nullptr) {
      run.folded_items.push_back({item, started, completed});
    } else {
      if (!run.folded_items.empty()) fail_fold(batch.call, code);
      if (well && batch.keep) cache_result(batch);
      outbox_.add_result(batch.call, item, started, completed, !well, run.result);
    }
    if (batch.communicator) settle(*group, well);
    if (group) group->end_item();
    started = completed;
    if (!loop_.look_due(completed)) continue;
    end_fold(batch.call, code);
    look(completed);
    if (end_.client_failed() && batch.team == 0) break;
    outbox_.close_results();
    started = settings_.clock.now();
  }
  end_fold(batch.call, code);
  if (outputs != nullptr) outputs->end(std::move(of_waiting));
  run.end = 0;
  run.team = 0;
  if (code.object.use_count() == 1) left_.push_back(std::move(code.object));
}

// Whether the item went well; what it gave, or why it failed, is in its result.
bool Engine::run_item(const wire::Batch& batch, InMessage& message, Code& code, std::span<const std::byte> arguments, std::int64_t started,
                      Group* group) {
  ItemRun& run = *runs_;
  if (run.stop_source) run.stop_source.reset();
  run.told_overdue = false;
  run.began = started;
  if (settings_.chaos != nullptr) settings_.chaos->strike();
  // An isolated one is killed when its time is over.
  run.deadline = batch.timeout != 0 && !batch.isolated ? started + batch.timeout : 0;
  show();
  bool well = true;
  try {
    if (batch.communicator) {
      const EngineLock::Lent lent(lock_);
      group->prepare();
    }
    if (code.thunk == nullptr) code = code_of(batch);
    run.result.flat = batch.flat;
    if (code.predicate != nullptr && !accepted(code)) {
      fail_run({wire::FailureKind::refused, "", ""});
      well = false;
    } else if (batch.isolated) {
      well = run_isolated(batch, message, arguments);
    } else {
      // What comes too late is not folded, and whether it does is seen with the lock.
      const bool folds_at_once = code.thunk->fold != nullptr && batch.timeout == 0;
      run_task(message, code, arguments, batch.flat, group, folds_at_once);
      if (code.thunk->fold != nullptr && !folds_at_once && in_time(batch)) fold(code, code.thunk->fold);
    }
    if (batch.first_only && group->index() != 0) run.result.rewind({0, 0, 0});
  } catch (...) {
    fail_run(describe_current_exception());
    well = false;
    if (group != nullptr) {
      const EngineLock::Lent lent(lock_);
      group->refuse();
    }
  }
  if (well && !in_time(batch)) {
    RANKVIEW_MARK(ended_too_late);
    fail_run({wire::FailureKind::timed_out, "", ""});
    well = false;
  }
  runs_.end_deadline();
  run.result.flat = false;
  return well;
}

// Before the result of an item goes what it has printed.
void Engine::take_printed(std::uint64_t call, std::uint64_t item) {
  capture::Texts printed;
  {
    // Whoever reads what this process prints may be slow.
    const EngineLock::Lent lent(lock_);
    if (!settings_.outputs->any()) return;
    printed = settings_.outputs->take();
  }
  tell_printed(call, item, printed);
}

void Engine::tell_printed(std::uint64_t call, std::uint64_t item, const capture::Texts& printed) {
  if (printed.empty()) return;
  const auto bytes = [](const std::string& text) { return std::as_bytes(std::span(text)); };
  outbox_.write(wire::Printed{call, item, bytes(printed.out), bytes(printed.err)});
}

// What was to be run together with an engine that has died.
void Engine::fail_batch(const wire::Batch& batch) {
  RANKVIEW_MARK(batch_of_broken_team);
  const std::int64_t now = settings_.clock.now();
  for (std::uint64_t item = batch.first; item < batch.first + batch.count; ++item) {
    fail_run({wire::FailureKind::team_broken, "", ""});
    outbox_.add_result(batch.call, item, now, now, true, runs_->result);
  }
  outbox_.flush();
}

// Whether one of a team has died, for who waits for it without the lock.
bool Engine::team_broken(std::uint64_t team) {
  if (!settings_.progress_thread) {
    const std::lock_guard held(lock_);
    outbox_.endpoint().poll(*this);
  }
  if (!teams_.any_broken()) return false;
  const std::lock_guard held(lock_);
  return teams_.broken(team);
}

// Whether the task may run here.
bool Engine::accepted(const Code& code) {
  return without_lock([&code] { return code.predicate(); });
}

void Engine::run_task(InMessage& message, const Code& code, std::span<const std::byte> bytes, bool flat, detail::Group* group, bool folds) {
  detail::Claims claims(message.attachment_sizes);
  detail::Reader arguments(bytes, &claims);
  arguments.flat() = flat;
  Running running(*this, &message, code, arguments, claims, group);
  without_lock([&] {
    code.thunk->run(running);
    if (folds) code.thunk->fold(running);
  });
  runs_->result_type = running.result_type;
}

// Has the thunk do something with what has been folded.
void Engine::fold(const Code& code, void (*step)(detail::Invocation&)) {
  detail::Claims none({});
  detail::Reader nothing({}, &none);
  Running running(*this, nullptr, code, nothing, none, nullptr);
  without_lock([&] { step(running); });
}

// The result says why the item failed.
void Engine::fail_run(const wire::Failure& failure) {
  for (auto& kept : runs_->result.kept) left_.push_back(std::move(kept));
  runs_->result.rewind({0, 0, 0});
  wire::write(runs_->result, failure);
}

// Tells the others that run the item how it ended here.
void Engine::settle(Group& group, bool well) {
  if (!well) outbox_.flush();  // others may be in MPI for good
  // Others may want something of this engine before they come.
  const EngineLock::Lent lent(lock_);
  group.settle(!well, [this] {
    const std::lock_guard held(lock_);
    outbox_.flush();
  });
}

void Engine::cache_result(const wire::Batch& batch) {
  for (auto& evicted : cache_.add(batch.call, runs_->result, runs_->result_type)) left_.push_back(std::move(evicted.value));
}

// What belongs to the next item of a batch.
std::span<const std::byte> Engine::next_arguments(wire::ItemCursor& items) const {
  try {
    return items.next();
  } catch (const DecodeError& error) {
    transport::end_process(1, "engine " + std::to_string(settings_.id) + " received a batch it cannot read: " + wire::error_text(error));
  }
}

Engine::Code Engine::code_of(const wire::Batch& batch) {
  Code code;
  if (batch.predicate != wire::CodeAddress{})
    code.predicate = reinterpret_cast<bool (*)()>(const_cast<void*>(detail::local_address(batch.predicate)));
  if (batch.function != wire::CodeAddress{}) code.function = detail::local_address(batch.function);
  const auto* thunk = static_cast<const detail::Thunk*>(detail::local_address(batch.thunk));
  if (batch.has_object && !batch.isolated) {
    CallableStates::State* state = callables_.find(batch.call);
    if (state == nullptr) throw DecodeError("a task of call " + std::to_string(batch.call) + " came without its callable");
    if (state->object == nullptr) {
      // Meanwhile the call may end, if its task has run out of time.
      const std::shared_ptr<InMessage> message = state->message;
      detail::Reader in(state->bytes);
      code.object = without_lock([&] { return thunk->load(in); });
      state = callables_.find(batch.call);
      if (state != nullptr) state->object = code.object;
    } else {
      code.object = state->object;
    }
  }
  code.thunk = thunk;
  return code;
}

// ---- when the item has to stop -----------------------------------------------------------------------------------------------

// Below MPI_THREAD_MULTIPLE there is no progress thread to receive the request.
bool Engine::stop_requested() {
  if (!settings_.progress_thread && on_own_thread()) {
    outbox_.endpoint().poll(*this);
    if (lock_.try_lock()) {
      std::stop_source due = runs_.due_stop(settings_.clock);
      lock_.unlock();
      due.request_stop();
    }
  }
  return runs_.stop_due(settings_.clock);
}

std::stop_token Engine::stop_token() {
  std::stop_token token;
  std::stop_source due(std::nostopstate);
  {
    const std::lock_guard held(lock_);
    if (!runs_->stop_source) runs_->stop_source.emplace();
    token = runs_->stop_source->get_token();
    due = runs_.due_stop(settings_.clock);
  }
  due.request_stop();
  return token;
}

// Sent at once, unless something was a moment ago: then the progress thread does it. Without one, only the task's own thread may.
void Engine::publish(std::string_view name, const char* type, std::span<const std::byte> value) {
  const bool own_thread = on_own_thread();
  {
    const std::lock_guard held(lock_);
    outbox_.write(wire::Published{runs_->call, runs_->item, std::string(name), type, value});
    if (settings_.progress_thread) {
      outbox_.flush_published(settings_.clock.now());
    } else if (own_thread) {
      outbox_.flush();
    }
  }
  if (!settings_.progress_thread && own_thread) static_cast<void>(stop_requested());
}

bool Engine::on_own_thread() const { return loop_.in_this_thread(); }

}  // namespace rankview::engine

// Isolated items that run side by side, in slots. Whatever else the engine does it does alone, before or after.
namespace rankview::engine {

// Whether the next command can be begun beside what runs in slots.
bool Engine::may_begin(const Inbox::Command& command) const {
  return isolated(command) ? slot_runs_.size() < settings_.slots->size() : slot_runs_.size() == 0;
}

void Engine::run_beside(Inbox::Command command) {
  memory_report_.note_tasks();
  const auto published = [this](const SlotRun& run, std::string_view name, const char* type, std::span<const std::byte> value) {
    const std::lock_guard held(lock_);
    outbox_.write(wire::Published{run.batch.call, run.item, std::string(name), type, value});
  };
  begin_next(std::make_shared<SlotRun>(std::move(command), published));
}

// Begins the next item of its batch, if there is one. Those that cannot be begun end at once.
void Engine::begin_next(const std::shared_ptr<SlotRun>& run) {
  const wire::Batch& batch = run->batch;
  for (; run->item < batch.first + batch.count && !end_.client_failed(); ++run->item) {
    const auto arguments = next_arguments(run->items);
    run->began = settings_.clock.now();
    wire::Failure why_not{wire::FailureKind::stopped, "", ""};
    if (!inbox_.stopped(batch.call, run->item, run->number)) {
      try {
        if (begin_in_slot(run, arguments)) return;
        why_not.kind = wire::FailureKind::refused;
      } catch (...) {
        why_not = describe_current_exception();
      }
    }
    detail::Writer result;
    wire::write(result, why_not);
    add_result_of(*run, true, result);
  }
  done_with(batch, *run->message);
}

// False if the engine is not to run it.
bool Engine::begin_in_slot(const std::shared_ptr<SlotRun>& run, std::span<const std::byte> arguments) {
  if (settings_.chaos != nullptr) settings_.chaos->strike();
  // Where it is in the memory of this process does not matter: the child finds it by itself.
  if (run->batch.predicate != wire::CodeAddress{} && !accepted(code_of(run->batch))) return false;
  run->renew();
  run->attachments.clear();
  run->task = isolated_task(run->batch, *run->message, arguments, run->of_object, run->attachments);
  run->forked = run->batch.forked;
  slot_runs_.add(run);
  try {
    settings_.slots->start(run);
  } catch (...) {
    slot_runs_.remove(*run);
    throw;
  }
  return true;
}

// Of items that run beside each other each begins when it does, and not when the one before it has ended.
void Engine::add_result_of(const SlotRun& run, bool failed, detail::Writer& result) {
  outbox_.close_results();
  outbox_.add_result(run.batch.call, run.item, run.began, settings_.clock.now(), failed, result);
  outbox_.close_results();
}

// Takes the results of what has ended. Whether anything had.
bool Engine::collect() {
  if (settings_.slots == nullptr || !settings_.slots->any_ended()) return false;
  for (const auto& ended : settings_.slots->take_ended()) {
    const auto run = std::static_pointer_cast<SlotRun>(ended);
    slot_runs_.remove(*run);
    detail::Writer result;
    bool well = false;
    try {
      if (run->error != nullptr) std::rethrow_exception(std::exchange(run->error, nullptr));
      tell_printed(run->batch.call, run->item, run->outcome.printed);
      well = take_outcome(std::move(run->outcome), result);
    } catch (...) {
      result.rewind({0, 0, 0});
      wire::write(result, describe_current_exception());
    }
    add_result_of(*run, !well, result);
    ++run->item;
    begin_next(run);
  }
  outbox_.flush();
  return true;
}

}  // namespace rankview::engine

namespace rankview::engine {

std::uint64_t Runs::suspended_items() const {
  std::uint64_t items = 0;
  for (const ItemRun* run = running_->waiting; run != nullptr; run = run->waiting) items += run->folded_items.size() + run->end - run->item;
  return items;
}

void Runs::check_depth(int engine, std::size_t more) {
  // What a wait costs grows with how many others wait, so there is a limit also where the stack has none.
  constexpr std::size_t most_suspended = 1'000;
  if (!stack_) stack_.emplace();
  const std::size_t left = stack_->left();
  const bool has_room = left >= stack_->reserve() + more;
  if (has_room && suspended_ < most_suspended) return;
  const std::string waiting = "subtasks are nested too deep: " + std::to_string(suspended_) + " tasks of engine " + std::to_string(engine) +
                              " wait for each other, which ";
  if (has_room) throw UsageError(waiting + "is as many as may; nest them less, for instance by halves");
  throw UsageError(waiting + "leaves " + std::to_string(left / 1024) +
                   " KiB of stack to the next; nest them less, for instance by halves, or give the program more stack (ulimit -s)");
}

}  // namespace rankview::engine

#include <sys/resource.h>

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

#include <rankview/subtask.hpp>

// Tasks that submit tasks. Who waits for one runs others meanwhile, on the same stack.
namespace rankview::engine {
namespace {

// Who would have no room to wait for a subtask should not submit it either.
constexpr std::size_t submit_reserve = 64 * 1024;

}  // namespace

std::uint64_t Engine::submit(const detail::Function& function, std::span<const std::byte> arguments, std::size_t stride) {
  runs_.check_depth(settings_.id, submit_reserve);
  wire::Subtask record;
  record.thunk = detail::code_address(function.thunk);
  if (function.code != nullptr) record.function = detail::code_address(function.code);
  record.stride = stride;
  record.object = function.object->bytes.bytes();
  record.item = arguments;
  const std::lock_guard held(lock_);
  record.parent_call = runs_->call;
  record.parent_item = runs_->item;
  record.ticket = subtasks_.add();
  outbox_.write(record);
  outbox_.flush();
  return record.ticket;
}

bool Engine::answered(std::uint64_t ticket) {
  const std::lock_guard held(lock_);
  outbox_.endpoint().poll(*this);
  return subtasks_.answered(ticket);
}

void Engine::forget(std::uint64_t ticket) {
  const std::lock_guard held(lock_);
  const auto forgotten = subtasks_.forget(ticket);
  if (forgotten && forgotten->failed) report_unseen(forgotten->value);
}

// Says on stderr that a task failed of which nobody here asks any more how it ended, unless it was given up.
void Engine::report_unseen(std::span<const std::byte> value) const {
  if (end_.client_failed()) return;
  detail::Reader in(value);
  const wire::Failure failure = wire::read_failure(in);
  if (failure.type_name == "rankview::TaskAborted") return;
  capture::say("rankview: a task that a task on engine " + std::to_string(settings_.id) +
               " submitted failed, and nobody asked for its result: " + failure.type_name + (failure.type_name.empty() ? "" : ": ") +
               failure.message + "\n");
}

std::vector<std::byte> Engine::await(std::uint64_t ticket) {
  const auto take_answer = [&] {
    const std::lock_guard held(lock_);
    if (!subtasks_.answered(ticket)) run_others_until_answered(ticket);
    return subtasks_.take(ticket);
  };
  SubtaskResults::Answer answer = take_answer();
  if (!answer.failed) return std::move(answer.value);
  detail::Reader in(answer.value);
  wire::Failure failure = wire::read_failure(in);
  throw RemoteError(TaskPlace{}, std::move(failure.type_name), std::move(failure.message));
}

// Rank 0 counts items that wait as what the engine has in hand, but not as what keeps it from others.
void Engine::tell_suspended() {
  outbox_.write(wire::Suspended{runs_.suspended_items()});
  outbox_.flush();
}

// While it lives, the item that runs waits, and others run with an ItemRun of their own.
class Engine::Nested {
 public:
  explicit Nested(Engine& engine) : engine_(engine) {
    engine_.runs_.begin_nested(run_);
    engine_.show();
  }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;
  ~Nested() {
    // What was folded with an item that ran out of time is the user's.
    if (run_.folded != nullptr) engine_.left_.push_back(std::move(run_.folded));
    engine_.runs_.end_nested();
    engine_.show();
  }

 private:
  Engine& engine_;
  ItemRun run_;
};

// With the lock.
void Engine::run_others_until_answered(std::uint64_t ticket) {
  runs_.check_depth(settings_.id, 0);
  // What others may run goes back, so that this engine, which now has time, gets what is most urgent rather than what came first.
  outbox_.write(inbox_.give_back_all(*runs_));
  outbox_.flush();

  {
    const Nested nested(*this);
    tell_suspended();
    transport::Idle idle(loop_.spin());
    // The task that waits has its engine for itself when it goes on.
    while ((!subtasks_.answered(ticket) || slot_runs_.size() != 0) && !end_.client_failed()) {
      let_go();
      if (subtasks_.answered(ticket) ? collect() : carry_out_next()) {
        idle.reset();
        continue;
      }
      outbox_.flush();
      poll_or_nap(idle);
    }
  }
  tell_suspended();
  if (!subtasks_.answered(ticket))
    throw TaskAborted("the client has failed (" + end_->reason + "), and what this task waits for will not come");
}

}  // namespace rankview::engine

namespace rankview::inline abi_0_1::detail {
namespace {

engine::TaskHost& own() {
  engine::TaskHost* const here = engine::current();
  if (here == nullptr) throw UsageError("rv::this_task::submit() is for tasks; a client submits with a view");
  if (!here->on_own_thread()) throw UsageError("rv::this_task::submit() and rv::Subtask are for the task's own thread");
  return *here;
}

}  // namespace

std::uint64_t submit_subtask(const Function& function, const Writer& arguments, std::size_t stride) {
  return own().submit(function, arguments.bytes.bytes(), stride);
}

bool subtask_ready(std::uint64_t ticket) { return own().answered(ticket); }

std::vector<std::byte> await_subtask(std::uint64_t ticket) { return own().await(ticket); }

void forget_subtask(std::uint64_t ticket) noexcept {
  if (engine::TaskHost* const here = engine::current(); here != nullptr && here->on_own_thread()) here->forget(ticket);
}

}  // namespace rankview::detail

#include <rankview/this_engine.hpp>
#include <rankview/this_task.hpp>

// What tasks ask of their engine.
namespace rankview::inline abi_0_1 {
namespace {

engine::TaskHost& here() {
  engine::TaskHost* const host = engine::current();
  if (host == nullptr) throw UsageError("rv::this_engine and rv::this_task are only known inside a task that runs on an engine");
  return *host;
}

}  // namespace

namespace this_engine {

int id() { return here().id(); }
int size() { return here().size(); }
Variables& vars() { return here().variables(); }

}  // namespace this_engine

bool this_task::stop_requested() { return here().stop_requested(); }

std::stop_token this_task::stop_token() { return here().stop_token(); }

void this_task::progress(double fraction) {
  if (!(fraction >= 0 && fraction <= 1)) throw UsageError("progress is a fraction between 0 and 1, and not " + std::to_string(fraction));
  publish("progress", fraction);
}

void detail::publish(std::string_view name, const std::type_info& type, const Writer& value) {
  here().publish(name, type.name(), value.bytes.bytes());
}

}  // namespace rankview

namespace rankview::engine {

std::string type_name(const std::type_info& type) { return type_name(type.name()); }

std::string type_name(const char* mangled) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(mangled, nullptr, nullptr, &status), std::free);
  if (status != 0 || text == nullptr) return mangled;
  return without_defaults(text.get());
}

std::string without_defaults(std::string name) {
  constexpr std::pair<std::string_view, std::string_view> shorter[] = {
      {"std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >", "std::string"},
      {"std::__cxx11::", "std::"},
      {"rankview::abi_0_1::", "rankview::"},
  };
  for (const auto& [from, to] : shorter) {
    for (std::size_t at = name.find(from); at != std::string::npos; at = name.find(from, at + to.size())) name.replace(at, from.size(), to);
  }
  for (std::size_t at = name.find(", std::allocator<"); at != std::string::npos; at = name.find(", std::allocator<", at)) {
    std::size_t end = at + 17;
    for (int depth = 1; depth > 0 && end < name.size(); ++end) depth += name[end] == '<' ? 1 : name[end] == '>' ? -1 : 0;
    name.erase(at, end - at);
    if (at < name.size() && name[at] == ' ') name.erase(at, 1);
  }
  return name;
}

}  // namespace rankview::engine

namespace rankview::inline abi_0_1 {

bool Variables::erase(std::string_view name) {
  const auto found = variables_.find(name);
  if (found == variables_.end()) return false;
  variables_.erase(found);
  return true;
}

std::vector<std::string> Variables::names() const {
  std::vector<std::string> names;
  names.reserve(variables_.size());
  for (const auto& [name, variable] : variables_) names.push_back(name);
  return names;
}

std::vector<VariableInfo> Variables::list() const {
  std::vector<VariableInfo> known;
  for (const auto& [name, variable] : variables_)
    known.push_back({name, engine::type_name(*variable.type->type), variable.type->bytes(variable.value.get())});
  return known;
}

std::size_t Variables::bytes() const {
  std::size_t bytes = 0;
  for (const auto& [name, variable] : variables_) bytes += variable.type->bytes(variable.value.get());
  return bytes;
}

void Variables::put(std::string_view name, const detail::VariableType& type, std::shared_ptr<void> value) {
  Variable variable{&type, std::move(value)};
  if (const auto found = variables_.find(name); found != variables_.end()) {
    found->second = std::move(variable);
  } else {
    variables_.emplace(name, std::move(variable));
  }
}

const Variables::Variable& Variables::raw(std::string_view name) const {
  const auto found = variables_.find(name);
  if (found != variables_.end()) return found->second;
  std::string known;
  for (const auto& entry : variables_) {
    if (known.size() > 200) {
      known += ", ...";
      break;
    }
    known += (known.empty() ? "" : ", ") + entry.first;
  }
  throw NameError("no variable \"" + std::string(name) + "\" on this engine, which has " + (known.empty() ? "none" : known));
}

void* Variables::at(std::string_view name, const std::type_info& type) const {
  const Variable& variable = raw(name);
  if (*variable.type->type != type)
    throw TypeError("variable \"" + std::string(name) + "\" is a " + engine::type_name(*variable.type->type) + ", not a " +
                    engine::type_name(type));
  return variable.value.get();
}

}  // namespace rankview

// What is said between an engine and the child that runs a task of its, over a stream socket: first the task; then, one byte, that it is
// to stop; and what the child tells, frame by frame.
namespace rankview::isolation {

enum class FrameKind : std::uint64_t {
  published,  // name, type, value
  value,      // the sizes of what is attached, and the result; then what is attached
  failed,     // a wire::Failure
  trace,      // it has crashed: a Trace
};

struct FrameHead {
  FrameKind kind = FrameKind::value;
  std::uint64_t size = 0;  // of what follows, but for attachments
};

// The task but for what is attached: what to send first. `later_modules`: what the child has not loaded and may have to. `task` has to
// outlive what is sent.
std::vector<std::byte> task_head(const Task& task, const std::vector<wire::LoadedModule>& later_modules);

// In the child: takes the task from the socket, runs it, and says how it ended. `variables`: the engine's, null where the child does not
// have them.
[[noreturn]] void run_child(int socket, Variables* variables) noexcept;

}  // namespace rankview::isolation

#include <sys/socket.h>

namespace rankview::isolation {
namespace {

// ---- crashes -----------------------------------------------------------------------------------------------------------------

// Where the handler writes to, how many calls led to run_child(), and the stack that the handler runs on.
std::atomic<int> trace_socket{-1};
std::atomic<bool> in_frame{false};  // a thread is sending one
int calls_before = 0;
std::array<std::byte, 64 * 1024> handler_stack;

constexpr std::array<int, 6> crashes{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS};

// Says where it happened, by addresses alone, and then lets it happen.
void on_crash(int signal) {
  std::array<void*, Trace::most> addresses{};
  int count = 0;
  {
    const BacktraceLimit limit;
    count = backtrace(addresses.data(), static_cast<int>(addresses.size()));
  }
  constexpr int own = 2;  // this handler, and what the system has called it by
  const bool whole = count < static_cast<int>(addresses.size());
  const int told = std::max(0, count - own - (whole ? calls_before : 0));
  struct {
    FrameHead head{FrameKind::trace, sizeof(Trace)};
    Trace trace;
  } message;
  locate(std::span(addresses).subspan(static_cast<std::size_t>(own), static_cast<std::size_t>(told)), message.trace);
  // Nothing can be done if it does not get there.
  if (!in_frame) static_cast<void>(::send(trace_socket, &message, sizeof(message), MSG_NOSIGNAL | MSG_DONTWAIT));
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

// But not where the program has a handler of its own.
void watch_for_crashes(int socket) {
  trace_socket = socket;
  std::array<void*, 64> addresses{};
  calls_before = backtrace(addresses.data(), static_cast<int>(addresses.size())) - 1;
  stack_t stack{};
  stack.ss_sp = handler_stack.data();
  stack.ss_size = handler_stack.size();
  sigaltstack(&stack, nullptr);
  for (const int signal : crashes) {
    struct sigaction before {};
    sigaction(signal, nullptr, &before);
    if (before.sa_handler != SIG_DFL) continue;
    struct sigaction action {};
    action.sa_handler = on_crash;
    action.sa_flags = SA_ONSTACK | SA_NODEFER;
    sigaction(signal, &action, nullptr);
  }
}

// ---- the task ----------------------------------------------------------------------------------------------------------------

// What was read of the task.
struct Received {
  const detail::Thunk* thunk = nullptr;
  const void* function = nullptr;
  bool has_object = false;
  bool flat = false;
  int engine = 0;
  int engines = 1;
  std::vector<std::uint64_t> attachment_sizes;
  std::vector<std::byte> object;
  std::vector<std::byte> arguments;
};

[[noreturn]] void leave(int status) {
  std::fflush(stdout);
  ::_exit(status);
}

std::vector<std::byte> receive(int socket, std::uint64_t size) {
  std::vector<std::byte> bytes(size);
  // Whoever was to send it has gone.
  if (!receive_all(socket, bytes)) leave(1);
  return bytes;
}

Received receive_task(int socket) {
  std::uint64_t size = 0;
  if (!receive_all(socket, std::as_writable_bytes(std::span(&size, 1)))) leave(1);
  const std::vector<std::byte> head = receive(socket, size);
  detail::Reader in(head);
  Received task;
  const auto thunk = in.value<wire::CodeAddress>();
  const auto function = in.value<wire::CodeAddress>();
  std::vector<wire::LoadedModule> modules(in.count(2 * sizeof(std::uint64_t)));
  for (wire::LoadedModule& module : modules) {
    module.id = in.value<std::uint64_t>();
    module.path = in.text();
  }
  wire::set_openable_modules(std::move(modules));
  task.has_object = in.value<bool>();
  task.flat = in.value<bool>();
  task.engine = in.value<std::int32_t>();
  task.engines = in.value<std::int32_t>();
  task.attachment_sizes.resize(in.count(sizeof(std::uint64_t)));
  in.raw(task.attachment_sizes.data(), task.attachment_sizes.size() * sizeof(std::uint64_t));
  task.object = receive(socket, in.value<std::uint64_t>());
  task.arguments = receive(socket, in.value<std::uint64_t>());
  task.thunk = static_cast<const detail::Thunk*>(detail::local_address(thunk));
  if (function != wire::CodeAddress{}) task.function = detail::local_address(function);
  return task;
}

// Where the task runs, as it sees it.
class Host final : public engine::TaskHost {
 public:
  Host(int socket, const Received& task, Variables* variables)
      : socket_(socket), engine_(task.engine), engines_(task.engines), variables_(variables != nullptr ? *variables : own_) {}

  [[nodiscard]] int id() const override { return engine_; }
  [[nodiscard]] int size() const override { return engines_; }
  Variables& variables() override { return variables_; }
  [[nodiscard]] TaskId running() const override { return {}; }  // a crash is told by whoever waits for it

  bool stop_requested() override {
    char stop = 0;
    if (has_input_ && !listener_.joinable() && ::recv(socket_, &stop, 1, MSG_DONTWAIT) == 1) request_stop();
    return stop_requested_;
  }
  std::stop_token stop_token() override {
    const std::lock_guard guard(mutex_);
    if (!listener_.joinable()) {
      listener_ = std::thread([this] {
        char stop = 0;
        if (::recv(socket_, &stop, 1, 0) == 1) request_stop();
      });
    }
    return source_.get_token();
  }
  void publish(std::string_view name, const char* type, std::span<const std::byte> value) override {
    detail::Writer out;
    out.text(name);
    out.text(type);
    out.raw(value.data(), value.size());
    tell(FrameKind::published, out.bytes.bytes());
  }

  [[nodiscard]] std::shared_ptr<const void> cached(std::uint64_t /*call*/, const std::type_info& /*type*/) const override {
    return nullptr;
  }
  std::unique_ptr<detail::Delivered> take_delivery(std::uint64_t /*ticket*/) override { throw detail::ResultGone(); }
  std::uint64_t submit(const detail::Function& /*function*/, std::span<const std::byte> /*arguments*/, std::size_t /*stride*/) override {
    throw UsageError("a task that runs isolated cannot submit others: its process has no MPI");
  }
  bool answered(std::uint64_t /*ticket*/) override { return false; }
  std::vector<std::byte> await(std::uint64_t /*ticket*/) override { return {}; }
  void forget(std::uint64_t /*ticket*/) override {}
  [[nodiscard]] bool on_own_thread() const override { return thread_ == std::this_thread::get_id(); }
  void withhold() override {}

  // All that was sent has been read: what comes now is that it is to stop.
  void note_all_received() { has_input_ = true; }
  void tell(FrameKind kind, std::span<const std::byte> bytes) {
    const FrameHead head{kind, bytes.size()};
    const std::lock_guard guard(mutex_);
    in_frame = true;
    // An engine that has gone is waited for by nobody.
    if (!send_all(socket_, std::as_bytes(std::span(&head, 1))) || !send_all(socket_, bytes)) leave(1);
    in_frame = kind == FrameKind::value;  // what is attached follows
  }

 private:
  void request_stop() {
    stop_requested_ = true;
    source_.request_stop();
  }

  const int socket_;
  const int engine_;
  const int engines_;
  const std::thread::id thread_ = std::this_thread::get_id();
  Variables own_;
  Variables& variables_;
  std::mutex mutex_;
  std::atomic<bool> has_input_{false};
  std::atomic<bool> stop_requested_{false};
  std::stop_source source_;
  std::thread listener_;
};

class Running final : public detail::Invocation {
 public:
  Running(int socket, Host& host, const Received& task, const void* state, detail::Reader& in, detail::Claims& claims, detail::Writer& out,
          std::shared_ptr<void>& kept)
      : Invocation(in, out, task.function, state, nullptr, kept), socket_(socket), host_(host), claims_(claims) {}

  void await_attachments() override {
    for (const detail::Claims::Place& place : claims_.places()) {
      if (!receive_all(socket_, {place.data, place.size})) leave(1);
    }
    host_.note_all_received();
  }

 private:
  int socket_;
  Host& host_;
  detail::Claims& claims_;
};

// What the task has printed. Other files of a copied engine may have what the engine has written to them, which is for the engine to write.
void flush(const Variables* of_engine) {
  try {
    std::cout.flush();
    std::clog.flush();
  } catch (...) {
    // The task has been asked for its result, and that is there.
    static_cast<void>(0);
  }
  std::fflush(of_engine == nullptr ? nullptr : stdout);
}

void send_value(int socket, Host& host, const detail::Writer& result) {
  detail::Writer out;
  out.value(static_cast<std::uint64_t>(result.attachments.size()));
  for (const detail::Attachment& attachment : result.attachments) out.value(static_cast<std::uint64_t>(attachment.size));
  out.raw(result.bytes.data(), result.bytes.size());
  host.tell(FrameKind::value, out.bytes.bytes());
  for (const detail::Attachment& attachment : result.attachments) {
    if (!send_all(socket, {attachment.data, attachment.size})) leave(1);
  }
}

}  // namespace

std::vector<std::byte> task_head(const Task& task, const std::vector<wire::LoadedModule>& later_modules) {
  detail::Writer out;
  out.value(std::uint64_t{0});
  out.value(task.thunk);
  out.value(task.function);
  out.value(static_cast<std::uint64_t>(later_modules.size()));
  for (const wire::LoadedModule& module : later_modules) {
    out.value(module.id);
    out.text(module.path);
  }
  out.value(task.has_object);
  out.value(task.flat);
  out.value(static_cast<std::int32_t>(task.engine));
  out.value(static_cast<std::int32_t>(task.engines));
  out.value(static_cast<std::uint64_t>(task.attachments.size()));
  for (const auto& attachment : task.attachments) out.value(static_cast<std::uint64_t>(attachment.size()));
  out.value(static_cast<std::uint64_t>(task.object.size()));
  out.value(static_cast<std::uint64_t>(task.arguments.size()));
  std::vector<std::byte> head(out.bytes.bytes().begin(), out.bytes.bytes().end());
  const std::uint64_t size = head.size() - sizeof(size);
  std::memcpy(head.data(), &size, sizeof(size));
  return head;
}

void run_child(int socket, Variables* variables) noexcept {
  engine::report_no_crashes();
  watch_for_crashes(socket);
  std::optional<Received> task;
  detail::Writer failure;
  try {
    task = receive_task(socket);
  } catch (...) {
    wire::write(failure, engine::describe_current_exception());
    const FrameHead head{FrameKind::failed, failure.bytes.size()};
    static_cast<void>(send_all(socket, std::as_bytes(std::span(&head, 1))) && send_all(socket, failure.bytes.bytes()));
    leave(1);
  }
  Host& host = *new Host(socket, *task, variables);  // threads of the task may outlive it
  const engine::ServingHere here(host, true);
  try {
    if (task->attachment_sizes.empty()) host.note_all_received();
    std::shared_ptr<const void> object;
    if (task->has_object) {
      detail::Reader in(task->object);
      object = task->thunk->load(in);
    }
    detail::Claims claims(task->attachment_sizes);
    detail::Reader arguments(task->arguments, &claims);
    arguments.flat() = task->flat;
    detail::Writer result;
    result.flat = task->flat;
    std::shared_ptr<void> folded;
    Running running(socket, host, *task, object.get(), arguments, claims, result, folded);
    task->thunk->run(running);
    flush(variables);
    send_value(socket, host, result);
    // Nothing of the program is destroyed: it is its parent's.
    ::_exit(0);
  } catch (...) {
    flush(variables);
    wire::write(failure, engine::describe_current_exception());
    host.tell(FrameKind::failed, failure.bytes.bytes());
  }
  ::_exit(0);
}

}  // namespace rankview::isolation

namespace rankview::isolation {

// What a child and those that it starts write to stdout and stderr. The latter is always read, so that its end can be told if the child
// crashes; the former only where it is wanted.
class ChildOutput {
 public:
  // `engine`: whose child it is. Throws std::system_error.
  ChildOutput(const capture::Terms& terms, int engine);

  // For the child: what its stderr and stdout are to be, -1 for what they are. It has been started, and they are not needed here any more.
  [[nodiscard]] int errors() const { return errors_.into.get(); }
  [[nodiscard]] int output() const { return output_.into.get(); }
  void started();
  // Readable when there is something for read(), -1 when no more comes.
  [[nodiscard]] int errors_ready() const { return errors_.from.get(); }
  [[nodiscard]] int output_ready() const { return output_.from.get(); }
  // Takes some of what is there, never waiting.
  void read();

  // The end of what went to stderr, in some lines.
  [[nodiscard]] std::string end_of_errors() const { return std::string(last_errors_.last()); }
  // What was printed, after its end.
  capture::Texts texts();

 private:
  struct Stream {
    Fd from;
    Fd into;
    capture::Excerpt kept;
    capture::Lines lines;
  };

  template <class Take>
  static void read_some(Fd& from, Take take);
  void put(Stream& stream, std::string_view bytes, int fd);

  const capture::Terms terms_;
  Stream errors_;
  Stream output_;
  capture::Excerpt last_errors_;
};

}  // namespace rankview::isolation

namespace rankview::isolation {
namespace {

// So much of the end of what went to stderr is told of a child that has crashed.
constexpr std::size_t told_of_errors = 2000;

}  // namespace

ChildOutput::ChildOutput(const capture::Terms& terms, int engine)
    : terms_(terms),
      errors_{{}, {}, terms.excerpt(), capture::Lines(capture::prefix_of(STDERR_FILENO, engine))},
      output_{{}, {}, terms.excerpt(), capture::Lines(capture::prefix_of(STDOUT_FILENO, engine))},
      last_errors_(0, told_of_errors) {
  std::tie(errors_.from, errors_.into) = pipe_pair();
  if (terms_.wanted()) std::tie(output_.from, output_.into) = pipe_pair();
  for (const int own : {errors_.from.get(), output_.from.get()}) {
    if (own >= 0) ::fcntl(own, F_SETFL, ::fcntl(own, F_GETFL) | O_NONBLOCK);
  }
}

void ChildOutput::started() {
  errors_.into.reset();
  output_.into.reset();
}

template <class Take>
void ChildOutput::read_some(Fd& from, Take take) {
  // As much as a pipe holds, since it may never stop.
  constexpr int pieces = 16;
  std::array<char, 4096> part;
  for (int i = 0; i < pieces && from; ++i) {
    const ssize_t got = ::read(from.get(), part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got == 0) from.reset();
    if (got <= 0) return;
    take(std::string_view(part.data(), static_cast<std::size_t>(got)));
  }
}

void ChildOutput::read() {
  read_some(errors_.from, [this](std::string_view bytes) {
    last_errors_.add(bytes);
    if (terms_.wanted()) {
      put(errors_, bytes, STDERR_FILENO);
    } else {
      // To where the engine's own goes.
      std::fwrite(bytes.data(), 1, bytes.size(), stderr);
    }
  });
  read_some(output_.from, [this](std::string_view bytes) { put(output_, bytes, STDOUT_FILENO); });
}

void ChildOutput::put(Stream& stream, std::string_view bytes, int fd) {
  stream.kept.add(bytes);
  if (terms_.shows) stream.lines.add(bytes, capture::destination(fd));
}

capture::Texts ChildOutput::texts() {
  output_.lines.end(capture::destination(STDOUT_FILENO));
  errors_.lines.end(capture::destination(STDERR_FILENO));
  return {output_.kept.text(), errors_.kept.text()};
}

}  // namespace rankview::isolation

namespace rankview::isolation {

// Bytes to and from a child, by a socket, without waiting for it.
class Conversation {
 public:
  Conversation() = default;
  explicit Conversation(Fd socket) : socket_(std::move(socket)) {}

  // Whether the child may still say something.
  [[nodiscard]] bool open() const { return static_cast<bool>(socket_); }
  [[nodiscard]] int descriptor() const { return socket_.get(); }

  // To be sent behind what waits for that; the bytes stay until then.
  void add(std::span<const std::byte> bytes) { to_send_.push_back(bytes); }
  [[nodiscard]] bool anything_to_send() const { return !to_send_.empty(); }
  // Sends as much as is taken now.
  void send();

  // Adds some of what it has said to heard(). Whether there was anything.
  bool receive();
  [[nodiscard]] std::span<const std::byte> heard() const { return std::span(received_).subspan(taken_); }
  // So much of that is dealt with.
  void take(std::size_t bytes) { taken_ += bytes; }
  // What was dealt with is not kept.
  void forget_taken();

 private:
  Fd socket_;
  std::deque<std::span<const std::byte>> to_send_;
  std::vector<std::byte> received_;
  std::size_t taken_ = 0;  // of that
};

}  // namespace rankview::isolation

namespace rankview::isolation {

void Conversation::send() {
  while (!to_send_.empty()) {
    if (to_send_.front().empty()) {
      to_send_.pop_front();
      continue;
    }
    const ssize_t sent = ::send(socket_.get(), to_send_.front().data(), to_send_.front().size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      // Whoever does not read any more ends.
      if (errno != EAGAIN && errno != EINTR) to_send_.clear();
      return;
    }
    to_send_.front() = to_send_.front().subspan(static_cast<std::size_t>(sent));
  }
}

bool Conversation::receive() {
  std::array<std::byte, 64 * 1024> part;
  ssize_t got = -1;
  do {
    got = ::recv(socket_.get(), part.data(), part.size(), MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  // It has closed its end, and may go on all the same.
  if (got == 0 || (got < 0 && errno != EAGAIN)) socket_.reset();
  if (got <= 0) return false;
  received_.insert(received_.end(), part.begin(), part.begin() + got);
  return true;
}

void Conversation::forget_taken() {
  received_.erase(received_.begin(), received_.begin() + static_cast<std::ptrdiff_t>(std::exchange(taken_, 0)));
}

}  // namespace rankview::isolation

namespace rankview::isolation {

// In a child that has just been forked: the leader of a group that ends with its parent, without input, whose stderr goes to `errors`, and
// whose stdout to `output`, line by line, unless that is -1.
void become_child(int errors, int output);

// Whether it is a child of this process, running or not, for which nobody has waited.
bool is_child(pid_t child);

// How a child of this process that leads a group ended, nothing while it runs. What is left of the group is killed before the child's
// number can be another's.
std::optional<ChildEnd> end_of(pid_t child);

// What the process and its descendants have of memory that is theirs alone, in bytes.
std::uint64_t memory_of(pid_t process);

}  // namespace rankview::isolation

#include <sys/syscall.h>
#include <sys/wait.h>

namespace rankview::isolation {

DirectForker::~DirectForker() { forget(); }

pid_t DirectForker::start(int socket, int errors, int output) {
  forget();
  prime_traces();
  // What is in buffers would be printed by both.
  std::cout.flush();
  std::fflush(stdout);
  const pid_t pid = ::fork();
  if (pid == 0) {
    become_child(errors, output);
    run_child(socket, &variables_);
  }
  if (pid < 0) throw Error(std::string("an isolated task cannot be started: ") + std::strerror(errno));
  ::setpgid(pid, pid);
  child_ = pid;
  process_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  return pid;
}

void DirectForker::kill() {
  if (child_ != 0 && is_child(child_)) ::kill(-child_, SIGKILL);
}

std::optional<ChildEnd> DirectForker::end() {
  if (child_ == 0) return std::nullopt;
  const auto end = end_of(child_);
  if (end) {
    child_ = 0;
    process_.reset();
  }
  return end;
}

// Its child is on its way out, or nobody waits for it.
void DirectForker::forget() {
  if (child_ == 0) return;
  kill();
  while (::waitpid(child_, nullptr, 0) < 0 && errno == EINTR) continue;
  child_ = 0;
  process_.reset();
}

}  // namespace rankview::isolation

namespace rankview::isolation {
namespace {

// So many file descriptors come with a message at most.
constexpr std::size_t most_fds = 4;

}  // namespace

std::pair<Fd, Fd> socket_pair(int type) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()) != 0)
    throw std::system_error(errno, std::generic_category(), "socketpair");
  return {Fd(ends[0]), Fd(ends[1])};
}

std::pair<Fd, Fd> pipe_pair() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
  return {Fd(ends[0]), Fd(ends[1])};
}

bool send_all(int socket, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
  return true;
}

bool receive_all(int socket, std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t got = ::recv(socket, bytes.data(), bytes.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
  return true;
}

bool send_message(int socket, const void* message, std::size_t size, std::span<const int> fds) {
  iovec part{const_cast<void*>(message), size};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * most_fds)> control{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* const first = CMSG_FIRSTHDR(&header);
    first->cmsg_level = SOL_SOCKET;
    first->cmsg_type = SCM_RIGHTS;
    first->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(first), fds.data(), fds.size_bytes());
  }
  for (;;) {
    if (::sendmsg(socket, &header, MSG_NOSIGNAL) >= 0) return true;
    if (errno != EINTR) return false;
  }
}

std::optional<std::size_t> receive_message(int socket, void* message, std::size_t size, std::vector<Fd>& fds) {
  iovec part{message, size};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * most_fds)> control{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) return std::nullopt;
  for (const cmsghdr* part_of = CMSG_FIRSTHDR(&header); part_of != nullptr; part_of = CMSG_NXTHDR(&header, const_cast<cmsghdr*>(part_of))) {
    if (part_of->cmsg_level != SOL_SOCKET || part_of->cmsg_type != SCM_RIGHTS) continue;
    std::array<int, most_fds> numbers{};
    const std::size_t bytes = part_of->cmsg_len - CMSG_LEN(0);
    std::memcpy(numbers.data(), CMSG_DATA(part_of), bytes);
    for (std::size_t i = 0; i < bytes / sizeof(int); ++i) fds.emplace_back(numbers[i]);
  }
  return static_cast<std::size_t>(got);
}

}  // namespace rankview::isolation

#include <sys/prctl.h>
#include <fstream>

namespace rankview::isolation {

void become_child(int errors, int output) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (const int nothing = ::open("/dev/null", O_RDONLY); nothing >= 0) {
    ::dup2(nothing, STDIN_FILENO);
    ::close(nothing);
  }
  ::dup2(errors, STDERR_FILENO);
  if (output < 0) return;
  ::dup2(output, STDOUT_FILENO);
  // What is in a buffer when it crashes is lost.
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
}

bool is_child(pid_t child) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

std::optional<ChildEnd> end_of(pid_t child) {
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) != 0) return ChildEnd{0, false, 0};
  if (info.si_pid == 0) return std::nullopt;
  ::kill(-child, SIGKILL);
  ChildEnd end;
  rusage usage{};
  ::wait4(child, &end.status, 0, &usage);
  end.peak_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  return end;
}

std::uint64_t memory_of(pid_t process) {
  const std::filesystem::path proc = "/proc/" + std::to_string(process);
  std::uint64_t bytes = 0;
  if (std::ifstream in(proc / "statm"); in) {
    std::uint64_t size = 0;
    std::uint64_t resident = 0;
    std::uint64_t shared = 0;
    in >> size >> resident >> shared;
    bytes = (resident - std::min(resident, shared)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  }
  // It may go at any time.
  std::error_code gone;
  for (std::filesystem::directory_iterator thread(proc / "task", gone), end; !gone && thread != end; thread.increment(gone)) {
    std::ifstream in(thread->path() / "children");
    for (pid_t child = 0; in >> child;) bytes += memory_of(child);
  }
  return bytes;
}

}  // namespace rankview::isolation

namespace rankview::isolation {
namespace {

using Clock = std::chrono::steady_clock;

// So often it is seen whether the task has been given up, and how much memory it has.
constexpr std::chrono::milliseconds look_every{10};
// A task that was given up may go on for so long.
constexpr std::chrono::milliseconds stop_grace{1000};
// A child that was killed has gone by then.
constexpr std::chrono::seconds gone_within{30};
// So many pieces are read of what it says before it is looked after again, since it may never stop.
constexpr int pieces = 16;

std::string in_megabytes(std::uint64_t bytes) { return std::to_string((bytes + 999'999) / 1'000'000) + " MB"; }

}  // namespace

// One child.
class ProcessRunner::Run {
 public:
  Run(Forker& forker, const Task& task, Watcher& watcher)
      : forker_(forker),
        task_(task),
        watcher_(watcher),
        head_(task_head(task, forker.later_modules())),
        output_(task.capture, task.engine) {
    auto [mine, its] = socket_pair(SOCK_STREAM);
    ::fcntl(mine.get(), F_SETFL, ::fcntl(mine.get(), F_GETFL) | O_NONBLOCK);
    talk_ = Conversation(std::move(mine));
    for (const auto bytes : {std::span<const std::byte>(head_), task.object, task.arguments}) talk_.add(bytes);
    for (const auto& attachment : task.attachments) talk_.add(attachment);
    pid_ = forker_.start(its.get(), output_.errors(), output_.output());
    output_.started();
    if (task.memory_limit != 0 && forker.copies_memory()) inherited_ = memory_of(pid_);
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  // Whatever has gone wrong, it does not go on.
  ~Run() {
    if (!outcome_ && !end_) forker_.kill();
  }

  Outcome outcome() {
    while (!outcome_ && !end_) {
      wait();
      watch();
    }
    // It may have ended behind its result.
    while (!outcome_ && receive()) continue;
    if (!outcome_) outcome_ = crashed();
    output_.read();
    outcome_->printed = output_.texts();
    return std::move(*outcome_);
  }

 private:
  // Until something happens, or it is time to look.
  void wait() {
    auto pause = std::chrono::duration_cast<std::chrono::milliseconds>(look_every);
    if (task_.timeout != 0) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(begun_ + std::chrono::nanoseconds(task_.timeout) - Clock::now());
      pause = std::clamp(left, std::chrono::milliseconds(0), pause);
    }
    const short wanted = talk_.anything_to_send() ? POLLIN | POLLOUT : POLLIN;
    std::array<pollfd, 4> fds{{{forker_.events(), POLLIN, 0},
                               {output_.errors_ready(), POLLIN, 0},
                               {talk_.descriptor(), wanted, 0},
                               {output_.output_ready(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), static_cast<int>(pause.count())) < 0 && errno != EINTR)
      throw std::system_error(errno, std::generic_category(), "poll");
    if ((fds[2].revents & POLLOUT) != 0) talk_.send();
    if (fds[2].revents != 0) receive();
    if (fds[1].revents != 0 || fds[3].revents != 0) output_.read();
    if (!outcome_ && (fds[0].revents != 0 || forker_.events() < 0)) end_ = forker_.end();
  }

  void watch() {
    if (outcome_ || end_) return;
    const auto now = Clock::now();
    if (task_.timeout != 0 && now - begun_ >= std::chrono::nanoseconds(task_.timeout)) {
      kill({Outcome::Kind::timed_out});
    } else if (task_.memory_limit != 0 && measure() > task_.memory_limit) {
      Outcome too_much;
      too_much.failure = failure("was killed after " + ran() + ": with its children it had " + in_megabytes(peak_) +
                                 " of memory, and its memory_limit is " + in_megabytes(task_.memory_limit));
      kill(std::move(too_much));
    } else if (watcher_.stop_requested()) {
      if (!stopped_) {
        stopped_ = now;
        static constexpr std::byte stop{'s'};
        talk_.add(std::span(&stop, 1));  // behind what it has not got yet
        talk_.send();
      } else if (now - *stopped_ > stop_grace) {
        kill({Outcome::Kind::aborted});
      }
    }
  }

  std::uint64_t measure() {
    const std::uint64_t memory = memory_of(pid_);
    const std::uint64_t own = memory - std::min(memory, inherited_);
    peak_ = std::max(peak_, own);
    return own;
  }

  // With all that it has started; returns when it has gone.
  void kill(Outcome outcome) {
    forker_.kill();
    const auto limit = Clock::now() + gone_within;
    while (!(end_ = forker_.end()) && Clock::now() < limit) {
      pollfd events{forker_.events(), POLLIN, 0};
      ::poll(&events, 1, 100);
    }
    if (!end_) throw Error("a child of an isolated task (process " + std::to_string(pid_) + ") was killed and does not go");
    output_.read();
    outcome_ = std::move(outcome);
  }

  // Takes what it has said, or some of it. Whether there was anything.
  bool receive() {
    bool any = false;
    for (int i = 0; i < pieces && !outcome_ && talk_.open() && talk_.receive(); ++i) {
      any = true;
      while (!outcome_ && take_frame()) continue;
      talk_.forget_taken();
    }
    return any;
  }

  // Whether there was a whole one.
  bool take_frame() {
    FrameHead head;
    const std::span<const std::byte> left = talk_.heard();
    if (left.size() < sizeof(head)) return false;
    std::memcpy(&head, left.data(), sizeof(head));
    if (left.size() - sizeof(head) < head.size) return false;
    const std::span<const std::byte> frame = left.subspan(sizeof(head), head.size);
    detail::Reader in(frame);
    std::size_t taken = sizeof(head) + head.size;
    switch (head.kind) {
      case FrameKind::published: {
        const std::string name(in.text());
        const std::string type(in.text());
        watcher_.published(name, type.c_str(), frame.subspan(frame.size() - in.remaining()));
        break;
      }
      case FrameKind::failed:
        outcome_.emplace();
        outcome_->failure = wire::read_failure(in);
        break;
      case FrameKind::trace: {
        in.raw(&trace_.emplace(), sizeof(Trace));
        break;
      }
      case FrameKind::value: {
        std::vector<std::uint64_t> sizes(in.count(sizeof(std::uint64_t)));
        in.raw(sizes.data(), sizes.size() * sizeof(std::uint64_t));
        std::uint64_t attached = 0;
        for (const std::uint64_t size : sizes) attached += size;
        if (left.size() - taken < attached) return false;
        outcome_.emplace();
        outcome_->kind = Outcome::Kind::value;
        const auto bytes = frame.subspan(frame.size() - in.remaining());
        outcome_->bytes.assign(bytes.begin(), bytes.end());
        for (const std::uint64_t size : sizes) {
          const auto begin = left.begin() + static_cast<std::ptrdiff_t>(taken);
          outcome_->attachments.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(size));
          taken += size;
        }
        break;
      }
      default:
        throw DecodeError("a child of an isolated task says what no child says");
    }
    talk_.take(taken);
    return true;
  }

  [[nodiscard]] Outcome crashed() {
    output_.read();
    peak_ = std::max(peak_, end_->peak_bytes);
    std::string how;
    if (!end_->known) {
      how = "has ended, and how is known to whoever has waited for the process: the program waits for all of its children";
    } else if (WIFSIGNALED(end_->status)) {
      const int signal = WTERMSIG(end_->status);
      how = "was ended by signal " + std::to_string(signal) + " (" + ::strsignal(signal) + ")";
    } else {
      how = "left its process with exit status " + std::to_string(WEXITSTATUS(end_->status));
    }
    how += " after " + ran() + ", with at most " + in_megabytes(peak_) + " of memory";
    Outcome outcome;
    outcome.failure = failure(how);
    if (!end_->known) return outcome;
    outcome.failure.signal = WIFSIGNALED(end_->status) ? WTERMSIG(end_->status) : 0;
    outcome.failure.exit_status = WIFEXITED(end_->status) ? WEXITSTATUS(end_->status) : 0;
    return outcome;
  }

  [[nodiscard]] std::string ran() const { return std::to_string(std::chrono::duration<double>(Clock::now() - begun_).count()) + " s"; }

  [[nodiscard]] wire::Failure failure(const std::string& how) const {
    wire::Failure failure;
    failure.kind = wire::FailureKind::crashed;
    failure.type_name = "rankview::TaskCrashed";
    failure.message = "the task " + how;
    if (const std::string errors = output_.end_of_errors(); !errors.empty()) {
      failure.message += "; its stderr ends:";
      std::istringstream lines(errors);
      for (std::string line; std::getline(lines, line);) failure.message += "\n  " + line;
    }
    if (trace_) failure.message += trace_text(*trace_);
    failure.peak_memory = peak_;
    return failure;
  }

  Forker& forker_;
  const Task& task_;
  Watcher& watcher_;
  const std::vector<std::byte> head_;
  const Clock::time_point begun_ = Clock::now();
  pid_t pid_ = 0;
  Conversation talk_;
  ChildOutput output_;
  std::optional<Trace> trace_;
  std::uint64_t inherited_ = 0;  // bytes of memory that it had at its start
  std::uint64_t peak_ = 0;
  std::optional<Clock::time_point> stopped_;  // when it was told
  std::optional<Outcome> outcome_;
  std::optional<ChildEnd> end_;
};

Outcome ProcessRunner::run(const Task& task, Watcher& watcher) {
  try {
    Outcome outcome = Run(*forker_, task, watcher).outcome();
    forker_->finish();
    return outcome;
  } catch (const std::system_error& error) {
    throw Error(std::string("an isolated task cannot be started: ") + wire::error_text(error));
  }
}

}  // namespace rankview::isolation

#include <sys/signalfd.h>

namespace rankview::isolation {
namespace {

constexpr const char* gone = "the process that starts isolated tasks has gone";

struct Request {
  enum class Kind : std::uint64_t { connect, start, kill } kind = Kind::start;
  std::uint64_t number = 0;  // of the child, among those of a connection
};

// To find out where the process was takes no longer.
constexpr unsigned telling_limit = 10;  // seconds

struct Report {
  enum class Kind : std::uint64_t { started, refused, ended } kind = Kind::started;
  std::uint64_t number = 0;
  std::int64_t pid = 0;
  ChildEnd end;  // refused: `status` is errno
};

// The server itself.
class Server {
 public:
  // `rank`: the process that it is for.
  Server(Fd control, pid_t rank)
      : control_(std::move(control)), rank_pid_(rank), rank_(static_cast<int>(::syscall(SYS_pidfd_open, rank, 0))) {
    // What is sent to all processes of a job is not meant for this one.
    sigset_t taken;
    sigemptyset(&taken);
    for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}) sigaddset(&taken, signal);
    sigprocmask(SIG_BLOCK, &taken, &mask_);
    struct sigaction normal = {};
    normal.sa_handler = SIG_DFL;
    ::sigaction(SIGCHLD, &normal, &on_child_);
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGCHLD);
    signals_ = Fd(::signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK));
  }

  // Until the rank has gone, or has closed its end of the socket.
  void serve() {
    for (bool goes_on = true; goes_on;) {
      std::vector<pollfd> fds{{control_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}, {rank_.get(), POLLIN, 0}};
      for (const auto& [number, connection] : connections_) fds.push_back({number, POLLIN, 0});
      if (::poll(fds.data(), fds.size(), -1) < 0) {
        if (errno == EINTR) continue;
        break;
      }
      if (fds[1].revents != 0) take_signals();
      for (std::size_t i = 3; i < fds.size(); ++i) {
        if (fds[i].revents != 0) carry_out_next(fds[i].fd);
      }
      goes_on = fds[2].revents == 0 && (fds[0].revents == 0 || hear_rank());
    }
    for (const auto& [pid, child] : children_) ::kill(-pid, SIGKILL);
    // What it has said last.
    pollfd last{control_.get(), POLLIN, 0};
    while (::poll(&last, 1, 0) > 0 && hear_rank()) continue;
    while (teller_ != 0 && ::waitpid(teller_, nullptr, 0) < 0 && errno == EINTR) continue;
    teller_ = 0;
    // What these leave behind comes here.
    do {
      kill_children();
    } while (::waitpid(-1, nullptr, 0) > 0 || errno == EINTR);
  }

 private:
  struct Child {
    int connection;  // the descriptor, -1 where it has gone
    std::uint64_t number;
  };

  void take_signals() {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof(info)) > 0) continue;
    reap();
  }

  // False if whoever made this process has gone.
  bool hear_rank() {
    Trace message;  // or a Request, to connect
    std::vector<Fd> fds;
    const auto size = receive_message(control_.get(), &message, sizeof(message), fds);
    if (!size) return false;
    if (*size == sizeof(message) && teller_ == 0) tell_crash(message);
    if (fds.size() != 1) return true;
    const int number = fds[0].get();
    connections_[number] = std::move(fds[0]);
    return true;
  }

  // In a process of its own, since that may take some time, in which this one has others to end.
  void tell_crash(const Trace& trace) {
    const pid_t teller = ::fork();
    teller_ = std::max(teller, 0);
    if (teller != 0) return;
    ::alarm(telling_limit);
    const std::string text = "rankview: process " + std::to_string(rank_pid_) + " was here:" + trace_text(trace) + "\n";
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
    ::_exit(0);
  }

  void carry_out_next(int connection) {
    Request request;
    std::vector<Fd> fds;
    if (!receive_message(connection, &request, sizeof(request), fds)) {
      for (auto& [pid, child] : children_) {
        if (child.connection != connection) continue;
        child.connection = -1;
        ::kill(-pid, SIGKILL);
      }
      connections_.erase(connection);
    } else if (request.kind == Request::Kind::start && fds.size() < 2) {
      tell(connection, {Report::Kind::refused, request.number, 0, {EMFILE, true, 0}});
    } else if (request.kind == Request::Kind::start) {
      start(connection, request.number, fds[0].get(), fds[1].get(), fds.size() > 2 ? fds[2].get() : -1);
    } else if (request.kind == Request::Kind::kill) {
      for (const auto& [pid, child] : children_) {
        if (child.connection == connection && child.number == request.number) ::kill(-pid, SIGKILL);
      }
    }
  }

  void start(int connection, std::uint64_t number, int socket, int errors, int output) {
    // The one before it has given its result, and nobody waits for the rest of it.
    for (const auto& [earlier, child] : children_) {
      if (child.connection == connection) ::kill(-earlier, SIGKILL);
    }
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::sigaction(SIGCHLD, &on_child_, nullptr);
      sigprocmask(SIG_SETMASK, &mask_, nullptr);
      control_.reset();
      signals_.reset();
      rank_.reset();
      connections_.clear();
      become_child(errors, output);
      run_child(socket, nullptr);
    }
    if (pid < 0) {
      tell(connection, {Report::Kind::refused, number, 0, {errno, true, 0}});
      return;
    }
    ::setpgid(pid, pid);
    children_[pid] = {connection, number};
    tell(connection, {Report::Kind::started, number, pid, {}});
  }

  // Who has ended: children, and what they have left behind, which comes to this process.
  void reap() {
    for (siginfo_t info{}; ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0; info = {}) {
      const pid_t pid = info.si_pid;
      const auto child = children_.find(pid);
      if (pid == teller_) {
        ::waitpid(pid, nullptr, 0);
        teller_ = 0;
        const char told = 0;
        static_cast<void>(::send(control_.get(), &told, sizeof(told), MSG_NOSIGNAL | MSG_DONTWAIT));
      } else if (child == children_.end()) {
        ::waitpid(pid, nullptr, 0);
      } else {
        if (const auto end = end_of(pid); end && child->second.connection >= 0)
          tell(child->second.connection, {Report::Kind::ended, child->second.number, pid, *end});
        children_.erase(child);
      }
      // What has left the group of its child, too.
      if (children_.empty()) kill_children();
    }
  }

  void kill_children() const {
    std::ifstream in("/proc/self/task/" + std::to_string(own_) + "/children");
    for (pid_t child = 0; in >> child;) {
      if (child != teller_) ::kill(child, SIGKILL);
    }
  }

  static void tell(int connection, const Report& report) { static_cast<void>(send_message(connection, &report, sizeof(report), {})); }

  const pid_t own_ = ::getpid();
  Fd control_;
  const pid_t rank_pid_;
  Fd rank_;  // the process, as a file descriptor
  Fd signals_;
  sigset_t mask_{};               // as it was
  struct sigaction on_child_ {};  // likewise
  std::map<int, Fd> connections_;
  std::map<pid_t, Child> children_;
  pid_t teller_ = 0;  // tells of a crash
};

// Who asks the server.
class Connection final : public Forker {
 public:
  Connection(Fd control, const LaterModules& later_modules) : control_(std::move(control)), later_modules_(later_modules) {}
  // Also where a child that was forked has the descriptor.
  ~Connection() override { ::shutdown(control_.get(), SHUT_RDWR); }

  pid_t start(int socket, int errors, int output) override {
    const Request request{Request::Kind::start, ++number_};
    const std::array<int, 3> fds{socket, errors, output};
    if (!send_message(control_.get(), &request, sizeof(request), std::span(fds).first(output < 0 ? 2 : 3))) throw Error(gone);
    for (;;) {
      const Report report = next_report();
      if (report.number != number_) continue;  // the end of an earlier one
      if (report.kind == Report::Kind::started) return static_cast<pid_t>(report.pid);
      throw Error(std::string("an isolated task cannot be started: ") + std::strerror(report.end.status));
    }
  }

  const std::vector<wire::LoadedModule>& later_modules() override { return later_modules_.get(); }

  void kill() override {
    const Request request{Request::Kind::kill, number_};
    static_cast<void>(send_message(control_.get(), &request, sizeof(request), {}));
  }

  [[nodiscard]] int events() const override { return control_.get(); }

  std::optional<ChildEnd> end() override {
    for (;;) {
      pollfd control{control_.get(), POLLIN, 0};
      if (::poll(&control, 1, 0) <= 0) return std::nullopt;
      const Report report = next_report();
      if (report.number == number_ && report.kind == Report::Kind::ended) return report.end;
    }
  }

 private:
  [[nodiscard]] Report next_report() const {
    Report report;
    std::vector<Fd> none;
    if (!receive_message(control_.get(), &report, sizeof(report), none)) throw Error(gone);
    return report;
  }

  Fd control_;
  LaterModules later_modules_;
  std::uint64_t number_ = 0;  // of the last child
};

[[noreturn]] void run_server(Fd control, pid_t rank) noexcept {
  // Whoever kills the group of the rank is not to keep this from killing what children have started.
  ::setpgid(0, 0);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  ::prctl(PR_SET_NAME, "rankview-tasks");
  Server(std::move(control), rank).serve();
  ::_exit(0);
}

}  // namespace

std::unique_ptr<TaskServer> TaskServer::fork() {
  auto [mine, its] = socket_pair(SOCK_SEQPACKET);
  prime_traces();
  // What the program has printed so far is printed once.
  std::fflush(nullptr);
  const pid_t rank = ::getpid();
  // The server is no child of this process, which may wait for all of its children.
  const pid_t between = ::fork();
  if (between < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (between == 0) {
    const pid_t server = ::fork();
    if (server == 0) {
      mine.reset();
      run_server(std::move(its), rank);
    }
    ::_exit(server < 0 ? errno : 0);
  }
  int status = 0;
  while (::waitpid(between, &status, 0) < 0 && errno == EINTR) continue;
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0) throw std::system_error(WEXITSTATUS(status), std::generic_category(), "fork");
  return std::unique_ptr<TaskServer>(new TaskServer(std::move(mine)));
}

TaskServer::~TaskServer() {
  // Also where a child that was forked has the descriptor.
  ::shutdown(control_.get(), SHUT_WR);
  pollfd gone_too{control_.get(), POLLIN, 0};
  constexpr int limit = 10'000;  // milliseconds; then it goes by itself
  while (::poll(&gone_too, 1, limit) < 0 && errno == EINTR) continue;
}

bool tell_server(int control, const Trace& trace, std::chrono::milliseconds wait) noexcept {
  if (::send(control, &trace, sizeof(trace), MSG_NOSIGNAL | MSG_DONTWAIT) != static_cast<ssize_t>(sizeof(trace))) return false;
  pollfd answer{control, POLLIN, 0};
  ::poll(&answer, 1, static_cast<int>(wait.count()));
  return true;
}

std::unique_ptr<Forker> TaskServer::connect() {
  auto [mine, its] = socket_pair(SOCK_SEQPACKET);
  const Request request{Request::Kind::connect, 0};
  const int fd = its.get();
  if (!send_message(control_.get(), &request, sizeof(request), {&fd, 1})) throw Error(gone);
  return std::make_unique<Connection>(std::move(mine), later_modules_);
}

}  // namespace rankview::isolation

namespace rankview::isolation {

// What one thread has.
class ThreadedSlots::Slot {
 public:
  explicit Slot(ThreadedSlots& slots) : slots_(slots), in_fork_(std::make_unique<DirectForker>(slots.variables_)) {}
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  ~Slot() {
    if (thread.joinable()) thread.join();
  }

  void run(SlotTask& task) {
    try {
      task.outcome = (task.forked ? in_fork_ : in_process()).run(task.task, task);
    } catch (...) {
      task.error = std::current_exception();
    }
  }

  std::thread thread;

 private:
  ProcessRunner& in_process() {
    if (in_process_ == nullptr) {
      if (slots_.server_ == nullptr) throw UsageError(no_server);
      const std::lock_guard guard(slots_.mutex_);
      in_process_ = std::make_unique<ProcessRunner>(slots_.server_->connect());
    }
    return *in_process_;
  }

  ThreadedSlots& slots_;
  ProcessRunner in_fork_;
  std::unique_ptr<ProcessRunner> in_process_;
};

ThreadedSlots::ThreadedSlots(std::size_t size, TaskServer* server, Variables& variables)
    : size_(size), server_(server), variables_(variables) {}

ThreadedSlots::~ThreadedSlots() {
  {
    const std::lock_guard guard(mutex_);
    quitting_ = true;
    for (const auto& task : running_) task->stop();
  }
  changed_.notify_all();
  slots_.clear();
}

void ThreadedSlots::start(std::shared_ptr<SlotTask> task) {
  std::unique_lock guard(mutex_);
  if (running_.size() + to_run_.size() == slots_.size()) {
    auto slot = std::make_unique<Slot>(*this);
    slot->thread = std::thread([this, own = slot.get()] { run_slot(*own); });
    slots_.push_back(std::move(slot));
  }
  to_run_.push_back(std::move(task));
  guard.unlock();
  changed_.notify_one();
}

std::vector<std::shared_ptr<SlotTask>> ThreadedSlots::take_ended() {
  const std::lock_guard guard(mutex_);
  any_ended_.store(false, std::memory_order_relaxed);
  return std::exchange(ended_, {});
}

void ThreadedSlots::run_slot(Slot& slot) {
  std::unique_lock guard(mutex_);
  for (;;) {
    changed_.wait(guard, [this] { return quitting_ || !to_run_.empty(); });
    if (quitting_) return;
    std::shared_ptr<SlotTask> task = std::move(to_run_.front());
    to_run_.pop_front();
    running_.push_back(task);
    guard.unlock();
    slot.run(*task);
    guard.lock();
    std::erase(running_, task);
    ended_.push_back(std::move(task));
    any_ended_.store(true, std::memory_order_release);
  }
}

}  // namespace rankview::isolation

#include <elf.h>
#include <link.h>
#include <spawn.h>

namespace rankview::isolation {
namespace {

using Lines = std::vector<std::string>;
using Deadline = std::chrono::steady_clock::time_point;

std::string demangled(const std::string& name) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), std::free);
  return status == 0 ? text.get() : name;
}

std::string in_hex(std::uint64_t number) {
  std::array<char, 24> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, 16).ptr;
  return "0x" + std::string(digits.data(), end);
}

// What is said of symbols in a file of code. Nothing is believed of what stands in it.
class CodeFile {
 public:
  explicit CodeFile(const std::string& path) : in_(path, std::ios::binary) {
    in_.seekg(0, std::ios::end);
    const auto size = in_.tellg();
    size_ = size < 0 ? 0 : static_cast<std::uint64_t>(size);
    const auto head = read<ElfW(Ehdr)>(0, 1);
    if (head.empty() || std::memcmp(head[0].e_ident, ELFMAG, SELFMAG) != 0 || head[0].e_ident[EI_CLASS] != native_class) return;
    if (head[0].e_phentsize == sizeof(ElfW(Phdr))) segments_ = read<ElfW(Phdr)>(head[0].e_phoff, head[0].e_phnum);
    if (head[0].e_shentsize == sizeof(ElfW(Shdr))) sections_ = read<ElfW(Shdr)>(head[0].e_shoff, head[0].e_shnum);
    if (head[0].e_shstrndx < sections_.size()) section_names_ = content<char>(sections_[head[0].e_shstrndx]);
  }

  // The address that the byte has, as symbols and debug information count.
  [[nodiscard]] std::optional<std::uint64_t> address_of(std::uint64_t byte) const {
    for (const auto& segment : segments_) {
      if (segment.p_type == PT_LOAD && byte >= segment.p_offset && byte - segment.p_offset < segment.p_filesz)
        return byte - segment.p_offset + segment.p_vaddr;
    }
    return std::nullopt;
  }

  [[nodiscard]] bool has_lines() const {
    return std::any_of(sections_.begin(), sections_.end(), [this](const auto& section) {
      const std::string name = text(section_names_, section.sh_name);
      return name == ".debug_line" || name == ".zdebug_line";
    });
  }

  // The function that the address is in, by its name in the program's text.
  std::string function_at(std::uint64_t address) {
    // What is known of all functions, if it has not been stripped; else what others may use.
    for (const auto type : {SHT_SYMTAB, SHT_DYNSYM}) {
      for (const auto& section : sections_) {
        if (section.sh_type != static_cast<ElfW(Word)>(type) || section.sh_link >= sections_.size()) continue;
        const auto symbols = content<ElfW(Sym)>(section);
        const auto found = std::find_if(symbols.begin(), symbols.end(), [address](const auto& symbol) {
          return (symbol.st_info & 0xf) == STT_FUNC && symbol.st_shndx != SHN_UNDEF && address >= symbol.st_value &&
                 address - symbol.st_value < symbol.st_size;
        });
        if (found == symbols.end()) continue;
        const std::string name = text(content<char>(sections_[section.sh_link]), found->st_name);
        if (!name.empty()) return demangled(name);
      }
    }
    return "";
  }

  // The name of the function or constant that begins at the address, as the linker has it. Nothing if another has the same.
  std::string name_at(std::uint64_t address) {
    for (const auto type : {SHT_SYMTAB, SHT_DYNSYM}) {
      for (const auto& section : sections_) {
        if (section.sh_type != static_cast<ElfW(Word)>(type) || section.sh_link >= sections_.size()) continue;
        const auto symbols = content<ElfW(Sym)>(section);
        const auto names = content<char>(sections_[section.sh_link]);
        // Of several that mean the same place always the same one.
        std::string first;
        for (const auto& symbol : symbols) {
          if (!is_there(symbol) || symbol.st_value != address) continue;
          const std::string name = text(names, symbol.st_name);
          if (!name.empty() && (first.empty() || name < first)) first = name;
        }
        if (first.empty()) continue;
        const bool alone = std::none_of(symbols.begin(), symbols.end(), [&](const auto& symbol) {
          return is_there(symbol) && symbol.st_value != address && text(names, symbol.st_name) == first;
        });
        return alone ? first : "";
      }
    }
    return "";
  }

  // The address of what has that name. Nothing if several have.
  std::optional<std::uint64_t> address_named(const std::string& name) {
    for (const auto type : {SHT_SYMTAB, SHT_DYNSYM}) {
      std::optional<std::uint64_t> found;
      for (const auto& section : sections_) {
        if (section.sh_type != static_cast<ElfW(Word)>(type) || section.sh_link >= sections_.size()) continue;
        const auto names = content<char>(sections_[section.sh_link]);
        for (const auto& symbol : content<ElfW(Sym)>(section)) {
          if (!is_there(symbol) || text(names, symbol.st_name) != name) continue;
          if (found && *found != symbol.st_value) return std::nullopt;
          found = symbol.st_value;
        }
      }
      if (found) return found;
    }
    return std::nullopt;
  }

 private:
  // A function or constant of this file.
  static bool is_there(const ElfW(Sym) & symbol) {
    const int type = symbol.st_info & 0xf;
    return (type == STT_FUNC || type == STT_OBJECT) && symbol.st_shndx != SHN_UNDEF;
  }

  static constexpr unsigned char native_class = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;

  // None if not all of them are there.
  template <class T>
  std::vector<T> read(std::uint64_t from, std::uint64_t count) {
    if (from > size_ || count > (size_ - from) / sizeof(T)) return {};
    std::vector<T> all(count);
    in_.clear();
    in_.seekg(static_cast<std::streamoff>(from));
    in_.read(reinterpret_cast<char*>(all.data()), static_cast<std::streamsize>(count * sizeof(T)));
    if (!in_) all.clear();
    return all;
  }

  template <class T>
  std::vector<T> content(const ElfW(Shdr) & section) {
    return section.sh_type == SHT_NOBITS ? std::vector<T>() : read<T>(section.sh_offset, section.sh_size / sizeof(T));
  }

  static std::string text(const std::vector<char>& table, std::uint64_t from) {
    if (from >= table.size()) return "";
    const auto begin = table.begin() + static_cast<std::ptrdiff_t>(from);
    return {begin, std::find(begin, table.end(), '\0')};
  }

  std::ifstream in_;
  std::uint64_t size_ = 0;
  std::vector<ElfW(Phdr)> segments_;
  std::vector<ElfW(Shdr)> sections_;
  std::vector<char> section_names_;
};

// ---- addr2line ---------------------------------------------------------------------------------------------------------------

// What is to be told of its environment: it should neither ask a server for debug information nor load what is preloaded here.
std::vector<char*> environment_of_tool() {
  std::vector<char*> kept;
  for (char** each = environ; each != nullptr && *each != nullptr; ++each) {
    const std::string_view text(*each);
    if (!text.starts_with("DEBUGINFOD_URLS=") && !text.starts_with("LD_PRELOAD=")) kept.push_back(*each);
  }
  kept.push_back(nullptr);
  return kept;
}

// Starts it, if it is installed, with its output going there. 0 if not.
pid_t start_tool(std::vector<std::string>& words, int output) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::vector<char*> environment = environment_of_tool();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  return error == 0 ? pid : 0;
}

// All that comes, nothing if it does not end in time.
std::optional<std::string> read_until(int from, Deadline deadline) {
  std::string all;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    if (left <= 0) return std::nullopt;
    pollfd input{from, POLLIN, 0};
    if (::poll(&input, 1, static_cast<int>(left)) <= 0) continue;
    std::array<char, 4096> part{};
    const ssize_t got = ::read(from, part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return all;
    all.append(part.data(), static_cast<std::size_t>(got));
  }
}

// For each address the pairs of lines that it has said of it: a function, and a file with a line.
std::map<std::uint64_t, Lines> by_address(const std::string& output) {
  std::map<std::uint64_t, Lines> all;
  Lines* current = nullptr;
  std::istringstream in(output);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("0x")) {
      std::uint64_t address = 0;
      std::from_chars(line.data() + 2, line.data() + line.size(), address, 16);
      current = &all[address];
    } else if (current != nullptr) {
      current->push_back(line);
    }
  }
  return all;
}

// Lines for what has been said of an address; none where no file is known.
Lines told_of(const Lines& pairs) {
  Lines lines;
  for (std::size_t i = 0; i + 1 < pairs.size(); i += 2) {
    // It may go on with which of several pieces of the line that is.
    const std::string file = pairs[i + 1].substr(0, pairs[i + 1].find(" (discriminator"));
    if (file.starts_with("??") || file.ends_with(":?") || file.ends_with(":0") || pairs[i].starts_with("??")) return {};
    lines.push_back(pairs[i] + " (" + std::filesystem::path(file).lexically_normal().string() + ")");
  }
  return lines;
}

// False if it did not answer in time.
bool ask_for_lines(const std::string& path, const std::vector<std::uint64_t>& addresses, Deadline deadline,
                   std::map<std::uint64_t, Lines>& lines) {
  std::vector<std::string> words{"addr2line", "-a", "-f", "-C", "-i", "-e", path};
  for (const std::uint64_t address : addresses) words.push_back(in_hex(address));
  auto [from, to] = pipe_pair();
  const pid_t tool = start_tool(words, to.get());
  if (tool == 0) return true;
  to.reset();
  const auto output = read_until(from.get(), deadline);
  // The program may have waited for all of its children.
  if (!output && is_child(tool)) ::kill(tool, SIGKILL);
  while (::waitpid(tool, nullptr, 0) < 0 && errno == EINTR) continue;
  if (output) {
    for (const auto& [address, pairs] : by_address(*output)) lines[address] = told_of(pairs);
  }
  return output.has_value();
}

// ---- all together ------------------------------------------------------------------------------------------------------------

// What was found, and files that took too long.
struct Remembered {
  static constexpr std::size_t most = 4096;

  std::mutex mutex;
  std::map<Place, Lines> lines;
  std::set<std::string> slow;
};

// Never destroyed: threads may ask until the process ends.
Remembered& remembered = *std::make_unique<Remembered>().release();

// Of one file.
std::map<std::uint64_t, Lines> describe_bytes(const std::string& path, const std::set<std::uint64_t>& bytes, Deadline deadline) {
  CodeFile file(path);
  std::map<std::uint64_t, std::uint64_t> addresses;
  for (const std::uint64_t byte : bytes) addresses[byte] = file.address_of(byte).value_or(byte);
  std::map<std::uint64_t, Lines> lines;
  bool slow = false;
  {
    const std::lock_guard guard(remembered.mutex);
    slow = remembered.slow.contains(path);
  }
  if (!slow && file.has_lines()) {
    std::vector<std::uint64_t> wanted;
    for (const auto& [byte, address] : addresses) wanted.push_back(address);
    if (!ask_for_lines(path, wanted, deadline, lines)) {
      const std::lock_guard guard(remembered.mutex);
      remembered.slow.insert(path);
    }
  }
  std::map<std::uint64_t, Lines> all;
  for (const auto& [byte, address] : addresses) {
    Lines& known = all[byte];
    if (const auto told = lines.find(address); told != lines.end()) known = told->second;
    if (!known.empty()) continue;
    const std::string function = file.function_at(address);
    known.push_back((function.empty() ? "" : function + " ") + "(" + path + "+" + in_hex(address) + ")");
  }
  return all;
}

// Names of functions, until modules are loaded or unloaded.
struct KnownNames {
  std::mutex mutex;
  std::uint64_t changes = 0;
  std::map<const void*, std::string> names;
};

KnownNames& known_names = *std::make_unique<KnownNames>().release();

}  // namespace

std::string linker_name(const void* code) {
  const std::uint64_t changes = wire::module_changes();
  const std::lock_guard guard(known_names.mutex);
  if (std::exchange(known_names.changes, changes) != changes) known_names.names.clear();
  const auto [known, first] = known_names.names.try_emplace(code);
  if (!first) return known->second;
  Trace trace;
  void* const address = const_cast<void*>(code);
  locate({&address, 1}, trace);
  if (trace.count == 1 && !trace.path_of(trace.calls[0]).empty()) {
    CodeFile file(std::string(trace.path_of(trace.calls[0])));
    if (const auto place = file.address_of(trace.calls[0].byte)) known->second = file.name_at(*place);
  }
  return known->second;
}

const void* place_named(const std::string& name) {
  std::vector<std::pair<std::string, std::uintptr_t>> files;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        // The executable comes first.
        auto& all = *static_cast<std::vector<std::pair<std::string, std::uintptr_t>>*>(data);
        const std::string path = info->dlpi_name != nullptr && *info->dlpi_name != '\0' ? info->dlpi_name : "/proc/self/exe";
        if (all.empty() || path != "/proc/self/exe") all.emplace_back(path, info->dlpi_addr);
        return 0;
      },
      &files);
  for (const auto& [path, base] : files) {
    if (const auto address = CodeFile(path).address_named(name)) return reinterpret_cast<const void*>(base + *address);
  }
  return nullptr;
}

std::vector<std::vector<std::string>> describe_places(std::span<const Place> places, std::chrono::milliseconds limit) {
  const Deadline deadline = std::chrono::steady_clock::now() + limit;
  std::map<std::string, std::set<std::uint64_t>> unknown;
  std::map<Place, Lines> known;
  {
    const std::lock_guard guard(remembered.mutex);
    for (const Place& place : places) {
      const auto found = remembered.lines.find(place);
      if (found != remembered.lines.end()) {
        known.insert(*found);
      } else {
        unknown[place.path].insert(place.byte);
      }
    }
  }
  for (const auto& [path, bytes] : unknown) {
    for (auto& [byte, lines] : describe_bytes(path, bytes, deadline)) known[{path, byte}] = std::move(lines);
  }
  std::vector<Lines> all;
  all.reserve(places.size());
  for (const Place& place : places) all.push_back(known[place]);
  const std::lock_guard guard(remembered.mutex);
  if (remembered.lines.size() > Remembered::most) remembered.lines.clear();
  remembered.lines.merge(known);
  return all;
}

}  // namespace rankview::isolation

namespace rankview::isolation {
namespace {

constexpr std::chrono::milliseconds names_limit{2000};
constexpr unsigned backtrace_limit = 2;  // seconds

// What is mapped where, line by line; nothing is allocated.
class Maps {
 public:
  Maps() : file_(::open("/proc/self/maps", O_RDONLY | O_CLOEXEC)) {}
  Maps(const Maps&) = delete;
  Maps& operator=(const Maps&) = delete;
  ~Maps() {
    if (file_ >= 0) ::close(file_);
  }

  // False at the end. What is longer than fits is cut.
  bool next(std::string_view& line) {
    std::size_t size = 0;
    for (;;) {
      if (at_ == end_ && !fill()) return false;
      const char c = buffer_[at_++];
      if (c == '\n') break;
      if (size < line_.size()) line_[size++] = c;
    }
    line = {line_.data(), size};
    return true;
  }

 private:
  bool fill() {
    ssize_t got = 0;
    do {
      got = ::read(file_, buffer_.data(), buffer_.size());
    } while (got < 0 && errno == EINTR);
    at_ = 0;
    end_ = got > 0 ? static_cast<std::size_t>(got) : 0;
    return got > 0;
  }

  int file_;
  std::array<char, 2048> buffer_{};
  std::size_t at_ = 0;
  std::size_t end_ = 0;
  std::array<char, 2048> line_{};
};

// Takes the number at the front, and what follows it.
std::uint64_t take_hex(std::string_view& text) {
  std::uint64_t number = 0;
  while (!text.empty()) {
    const char c = text.front();
    text.remove_prefix(1);
    if (c >= '0' && c <= '9') {
      number = number << 4U | static_cast<std::uint64_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      number = number << 4U | static_cast<std::uint64_t>(c - 'a' + 10);
    } else {
      break;
    }
  }
  return number;
}

void skip_word(std::string_view& text) {
  text.remove_prefix(std::min(text.size(), text.find(' ')));
  text.remove_prefix(std::min(text.size(), text.find_first_not_of(' ')));
}

// Whether a function of this library or the standard one does no more than call the task.
bool is_plumbing(std::string_view line) {
  constexpr std::string_view untold = "decltype(auto) ";
  if (line.starts_with(untold)) line.remove_prefix(untold.size());
  const std::string_view name = line.substr(0, line.find_first_of("<("));
  return name.find("rankview::") != std::string_view::npos || name.find("std::__invoke") != std::string_view::npos ||
         name.find("std::invoke") != std::string_view::npos || name.find("std::_Function_handler") != std::string_view::npos ||
         name.find("std::function") != std::string_view::npos || name.find("std::enable_if") != std::string_view::npos;
}

// What has called the task or the client, as far as names tell it, is left out.
void leave_out_callers(std::vector<std::string>& lines) {
  const auto caller = std::find_if(lines.begin(), lines.end(), [](const std::string& line) {
    return line.find("rankview::detail::run_thunk<") != std::string::npos ||
           line.find("rankview::Cluster::State::run_client(") != std::string::npos;
  });
  if (caller == lines.begin() || caller == lines.end()) return;
  auto end = caller;
  while (end != lines.begin() && is_plumbing(*std::prev(end))) --end;
  // It may have happened in there.
  lines.erase(end == lines.begin() ? caller : end, lines.end());
}

}  // namespace

std::string_view Trace::path_of(const Call& call) const {
  if (call.path >= paths.size()) return {};
  const auto begin = paths.begin() + call.path;
  return {begin, std::find(begin, paths.end(), '\0')};
}

void prime_traces() {
  std::array<void*, 4> addresses{};
  static_cast<void>(backtrace(addresses.data(), static_cast<int>(addresses.size())));
}

void locate(std::span<void* const> addresses, Trace& trace) noexcept {
  trace.count = std::min(addresses.size(), trace.calls.size());
  for (std::size_t i = 0; i < trace.count; ++i) trace.calls[i].address = reinterpret_cast<std::uintptr_t>(addresses[i]);
  Maps maps;
  std::string_view last;  // the path that was noted last
  std::uint32_t last_at = 0;
  std::uint32_t free = 0;
  std::uint64_t file_begin = 0;
  for (std::string_view line; maps.next(line);) {
    const std::uint64_t begin = take_hex(line);
    const std::uint64_t end = take_hex(line);
    skip_word(line);  // what may be done there
    const std::uint64_t offset = take_hex(line);
    skip_word(line);  // the device
    skip_word(line);  // the number of the file
    if (offset == 0) file_begin = begin;
    if (line.empty() || line.front() != '/') continue;
    for (std::size_t i = 0; i < trace.count; ++i) {
      Trace::Call& call = trace.calls[i];
      if (call.address < begin || call.address >= end) continue;
      if (line != last) {
        if (line.size() >= trace.paths.size() - free) continue;
        last_at = free;
        char* const to = trace.paths.data() + last_at;
        std::copy(line.begin(), line.end(), to);
        last = {to, line.size()};
        free += static_cast<std::uint32_t>(line.size()) + 1;
      }
      call.path = last_at;
      call.byte = call.address - begin + offset;
      call.from_start = call.address - file_begin;
    }
  }
}

BacktraceLimit::BacktraceLimit() noexcept {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  ::sigaction(SIGALRM, &action, &before_);
  sigset_t alarms;
  sigemptyset(&alarms);
  sigaddset(&alarms, SIGALRM);
  ::pthread_sigmask(SIG_UNBLOCK, &alarms, nullptr);
  ::alarm(backtrace_limit);
}

BacktraceLimit::~BacktraceLimit() {
  ::alarm(0);
  ::sigaction(SIGALRM, &before_, nullptr);
}

std::string trace_text(const Trace& trace) {
  const std::size_t count = std::min<std::size_t>(trace.count, trace.calls.size());
  std::vector<Place> places;
  for (std::size_t i = 0; i < count; ++i) {
    const Trace::Call& call = trace.calls[i];
    // But for the innermost, what is known is where each would have gone on behind its call.
    places.push_back({std::string(trace.path_of(call)), call.byte - (i == 0 ? 0 : 1)});
  }
  const auto names = describe_places(places, names_limit);
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < count; ++i) {
    if (trace.calls[i].path != Trace::no_file) {
      for (const std::string& name : names[i]) lines.push_back(engine::without_defaults(name));
    } else {
      std::ostringstream address;
      address << "0x" << std::hex << trace.calls[i].address;
      lines.push_back(address.str());
    }
  }
  leave_out_callers(lines);
  std::string text;
  for (std::size_t i = 0; i < lines.size();) {
    std::size_t same = i;
    while (same < lines.size() && lines[same] == lines[i]) ++same;
    text += "\n  at " + lines[i];
    if (same - i > 1) text += ", " + std::to_string(same - i) + " times";
    i = same;
  }
  return text;
}

}  // namespace rankview::isolation

namespace rankview::wire {

// What whoever built a loaded module has noted in it: the content of the first note of this owner and type.
inline std::optional<std::span<const unsigned char>> find_note(const dl_phdr_info& info, std::string_view owner, ElfW(Word) type) {
  const auto padded = [](std::size_t size) { return (size + 3) & ~std::size_t{3}; };
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info.dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    const auto* note = reinterpret_cast<const unsigned char*>(info.dlpi_addr + segment.p_vaddr);
    const unsigned char* const end = note + segment.p_memsz;
    while (note + sizeof(ElfW(Nhdr)) <= end) {
      ElfW(Nhdr) header;
      std::memcpy(&header, note, sizeof(header));
      const unsigned char* const name = note + sizeof(header);
      const unsigned char* const content = name + padded(header.n_namesz);
      if (content + header.n_descsz > end) break;
      // The size of a name counts its final 0.
      if (header.n_type == type && header.n_namesz == owner.size() + 1 && std::memcmp(name, owner.data(), owner.size()) == 0)
        return std::span(content, header.n_descsz);
      note = content + padded(header.n_descsz);
    }
  }
  return std::nullopt;
}

}  // namespace rankview::wire

namespace rankview::launch {
namespace {

// Every module with a runtime in it carries this note, which can be found even where its symbols cannot.
struct Note {
  ElfW(Nhdr) header;
  char owner[12];
};
constexpr ElfW(Word) note_type = 0x7276;
// Notes lie one behind the other: nothing between them for an AddressSanitizer.
#ifdef __clang__
[[clang::no_sanitize("address")]]
#endif
[[gnu::used, gnu::section(".note.rankview")]] alignas(4) constexpr Note note{{9, 0, note_type}, "rankview"};

// The modules with a runtime in them, "A and B"; empty if it is but one.
std::string copies() {
  struct Found {
    int count = 0;
    std::string names;
  } found;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        if (!wire::find_note(*info, "rankview", note_type)) return 0;
        auto& f = *static_cast<Found*>(data);
        const bool named = info->dlpi_name != nullptr && *info->dlpi_name != '\0';
        f.names += (f.count++ == 0 ? "" : " and ") + std::string(named ? info->dlpi_name : "the executable");
        return 0;
      },
      &found);
  return found.count > 1 ? found.names : "";
}

std::string complaint(const std::string& where) {
  return "rankview's runtime is in this program more than once: in " + where +
         "; include <rankview/embedded.hpp>, or link the static library, in one of them only, or link the shared library to all";
}

// A copy that comes with a shared library may never be asked to start anything, and yet be used.
[[maybe_unused]] const bool told = [] {
  const std::string where = copies();
  if (!where.empty()) std::fprintf(stderr, "rankview: %s\n", complaint(where).c_str());
  return true;
}();

}  // namespace

void refuse_copies() {
  if (const std::string where = copies(); !where.empty()) throw UsageError(complaint(where));
}

}  // namespace rankview::launch

namespace rankview::launch {
namespace {

bool under_launcher() {
  // What Open MPI's mpirun, PMIx (srun --mpi=pmix) and PMI-1/2 launchers set for the processes they start.
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"}) {
    if (std::getenv(name) != nullptr) return true;
  }
  return false;
}

int engines_wanted(const char* text) {
  int engines = 0;
  const char* const end = text + std::strlen(text);
  const auto [stopped, error] = std::from_chars(text, end, engines);
  if (error != std::errc() || stopped != end || engines < 1)
    throw UsageError(std::string("RANKVIEW_ENGINES should be how many engines to start, 1 or more, and is \"") + text + "\"");
  return engines;
}

}  // namespace

void start_under_mpirun(int argc, char** argv) {
  const char* const wanted = std::getenv("RANKVIEW_ENGINES");
  if (wanted == nullptr || *wanted == '\0' || under_launcher()) return;
  const int engines = engines_wanted(wanted);

  std::vector<char> self(4096);
  const ssize_t length = readlink("/proc/self/exe", self.data(), self.size() - 1);
  if (length <= 0) throw UsageError("RANKVIEW_ENGINES: cannot find this program's own file to start it again");

  std::vector<std::string> words = {"mpirun", "--oversubscribe", "-np", std::to_string(engines + 1),
                                    std::string(self.data(), static_cast<std::size_t>(length))};
  for (int i = 1; i < argc; ++i) words.emplace_back(argv[i]);
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);

  if (geteuid() == 0) {
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 0);
    setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 0);
  }
  execvp("mpirun", arguments.data());
  throw UsageError(std::string("RANKVIEW_ENGINES: cannot start mpirun: ") + std::strerror(errno));
}

}  // namespace rankview::launch

extern char** environ;

namespace rankview::liveness {
namespace {

[[noreturn]] void refuse(const std::string& text, const std::string& why) {
  throw UsageError("RANKVIEW_CHAOS should be as in kill:0.01,hang:0.001,seed:7, and is \"" + text + "\": " + why);
}

template <class T>
T number(const std::string& text, const std::string& word, T most) {
  T value{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || value < T{} || value > most)
    refuse(text, "\"" + word + "\" is no number that it may be");
  return value;
}

// Stops the process; another one, which is none of MPI's, has it go on.
void stop_for_a_while() {
  std::array<char, 64> waits{};
  std::snprintf(waits.data(), waits.size(), "sleep 4; kill -CONT %ld", static_cast<long>(::getpid()));
  std::array<char*, 4> arguments{const_cast<char*>("sh"), const_cast<char*>("-c"), waits.data(), nullptr};
  pid_t waker = -1;
  // Without it the process would stand for ever.
  if (::posix_spawn(&waker, "/bin/sh", nullptr, nullptr, arguments.data(), environ) == 0) ::raise(SIGSTOP);
}

}  // namespace

Chaos::Settings Chaos::read(const std::string& text) {
  Settings settings;
  settings.seed = std::random_device()() % 100'000;
  std::istringstream parts(text);
  for (std::string each; std::getline(parts, each, ',');) {
    const std::size_t colon = each.find(':');
    if (colon == std::string::npos) refuse(text, "\"" + each + "\" has no value");
    const std::string name = each.substr(0, colon);
    const std::string value = each.substr(colon + 1);
    if (name == "kill") {
      settings.kill = number(text, value, 1.0);
    } else if (name == "hang") {
      settings.hang = number(text, value, 1.0);
    } else if (name == "seed") {
      settings.seed = number(text, value, std::uint64_t{1} << 50U);
    } else {
      refuse(text, "there is no \"" + name + "\"");
    }
  }
  return settings;
}

void Chaos::strike() {
  const double drawn = std::uniform_real_distribution<double>(0, 1)(random_);
  if (drawn < settings_.kill) {
    ::raise(SIGKILL);
  } else if (drawn < settings_.kill + settings_.hang) {
    stop_for_a_while();
  }
}

}  // namespace rankview::liveness

#include <netinet/in.h>
#include <sys/random.h>

namespace rankview::liveness {
namespace {

// What an event is about: its kind above, a number below.
enum : std::uint64_t { quit_event, listener_event, stranger_event, process_event, socket_event };
constexpr std::uint64_t event(std::uint64_t kind, std::uint64_t number) { return kind << 32U | number; }

// So many may be about to say who they are, for so long.
constexpr std::size_t most_strangers = 128;
constexpr std::chrono::seconds stranger_limit{5};
constexpr std::chrono::milliseconds longest_wait{100};
// Who has not looked for so long was stopped itself, and knows nothing of the others.
constexpr std::chrono::milliseconds own_gap{1000};
// At the end the others have so long to say good-bye.
constexpr std::chrono::milliseconds farewell{1000};

// A connection to each of the others takes a descriptor, and so does each process.
void allow_descriptors(std::size_t more) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
  const rlim_t wanted = limit.rlim_cur + more;
  limit.rlim_cur = limit.rlim_max == RLIM_INFINITY ? wanted : std::min(wanted, limit.rlim_max);
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
}

// The next note, if all of it is there. `gone`: nothing comes any more.
std::optional<Note> read_note(int socket, std::vector<std::byte>& unread, bool& gone) {
  Note note;
  std::array<std::byte, sizeof(Note)> bytes{};
  const ssize_t got = ::recv(socket, bytes.data(), bytes.size() - unread.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return std::nullopt;
  gone = got <= 0;
  if (gone) return std::nullopt;
  unread.insert(unread.end(), bytes.begin(), bytes.begin() + got);
  if (unread.size() < sizeof(note)) return std::nullopt;
  std::memcpy(&note, unread.data(), sizeof(note));
  unread.clear();
  return note;
}

std::string name_of(int signal) {
  const char* const name = ::sigabbrev_np(signal);
  return "signal " + std::to_string(signal) + (name == nullptr ? "" : std::string(" (SIG") + name + ")");
}

}  // namespace

SideChannel::SideChannel(Signs& signs, const std::vector<Peer>& peers, std::chrono::milliseconds silence)
    : signs_(signs), silence_(silence), events_(::epoll_create1(EPOLL_CLOEXEC)), quit_(::eventfd(0, EFD_CLOEXEC)) {
  allow_descriptors(2 * peers.size() + 2 * Invitation::most_addresses);
  std::vector<std::string> far;
  bool any_near = false;
  for (const Peer& peer : peers) {
    if (peer.pid != 0) {
      any_near = true;
    } else if (std::find(far.begin(), far.end(), peer.host) == far.end()) {
      far.push_back(peer.host);
    }
  }
  if (::getrandom(invitation_.token.data(), sizeof(invitation_.token), 0) != static_cast<ssize_t>(sizeof(invitation_.token))) return;
  std::vector<std::uint32_t> hosts;
  if (any_near) hosts.push_back(htonl(INADDR_LOOPBACK));
  if (!far.empty()) {
    for (const std::uint32_t host : job_addresses(far)) hosts.push_back(host);
  }
  watch(quit_.get(), event(quit_event, 0));
  for (const std::uint32_t host : hosts) {
    if (invitation_.count == Invitation::most_addresses) break;
    Listener listener = listen_on(host);
    if (!listener.socket) continue;
    invitation_.hosts[invitation_.count] = host;
    invitation_.ports[invitation_.count++] = listener.port;
    watch(listener.socket.get(), event(listener_event, listeners_.size()));
    listeners_.push_back(std::move(listener));
  }
  for (const Peer& peer : peers) {
    Known& known = peers_[peer.rank];
    if (peer.pid == 0) continue;
    known.process = open_process(peer.pid);
    if (known.process) watch(known.process.get(), event(process_event, static_cast<std::uint64_t>(peer.rank)));
  }
  last_look_ = std::chrono::steady_clock::now();
  thread_ = quiet_thread([this] { run(); });
}

SideChannel::~SideChannel() {
  if (!thread_.joinable()) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(quit_.get(), &one, sizeof(one));
  thread_.join();
}

void SideChannel::watch(int fd, std::uint64_t what) {
  epoll_event wanted{};
  wanted.events = EPOLLIN;
  wanted.data.u64 = what;
  static_cast<void>(::epoll_ctl(events_.get(), EPOLL_CTL_ADD, fd, &wanted));
}

void SideChannel::run() {
  while (!quitting_) wait_for_events(std::chrono::steady_clock::now());
  // Who gets this knows that the end of the connection means nothing.
  const Note bye{Note::bye, 0, 0, 0};
  for (auto& [rank, peer] : peers_) {
    if (!peer.socket) continue;
    [[maybe_unused]] const auto sent = ::send(peer.socket.get(), &bye, sizeof(bye), MSG_NOSIGNAL | MSG_DONTWAIT);
    ::shutdown(peer.socket.get(), SHUT_WR);
  }
  const auto limit = std::chrono::steady_clock::now() + farewell;
  const auto all_gone = [this] {
    return std::all_of(peers_.begin(), peers_.end(), [](const auto& peer) { return !peer.second.socket || peer.second.silent; });
  };
  while (!all_gone() && std::chrono::steady_clock::now() < limit) wait_for_events(std::chrono::steady_clock::now());
}

void SideChannel::wait_for_events(Time now) {
  std::array<epoll_event, 64> happened{};
  const int count = ::epoll_wait(events_.get(), happened.data(), static_cast<int>(happened.size()), static_cast<int>(longest_wait.count()));
  for (int i = 0; i < count; ++i) {
    const std::uint64_t what = happened[static_cast<std::size_t>(i)].data.u64;
    const auto number = static_cast<std::uint32_t>(what);
    switch (what >> 32U) {
      case quit_event:
        quitting_ = true;
        static_cast<void>(::epoll_ctl(events_.get(), EPOLL_CTL_DEL, quit_.get(), nullptr));
        break;
      case listener_event:
        accept_from(number);
        break;
      case stranger_event:
        hear_stranger(static_cast<int>(number));
        break;
      case process_event:
        // What it has told before comes first.
        if (!peers_.at(static_cast<int>(number)).socket) hear_all_strangers();
        read_from(static_cast<int>(number));
        ended(static_cast<int>(number), "its process has ended");
        break;
      default:
        read_from(static_cast<int>(number));
    }
  }
  drop_old_strangers(now);
  check_silence(now);
}

// ---- who connects ------------------------------------------------------------------------------------------------------------

// Whether anybody was there.
bool SideChannel::accept_from(std::size_t listener) {
  isolation::Fd socket(::accept4(listeners_[listener].socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  // Those that come in such numbers are none of ours, which would come once each.
  if (!socket || strangers_.size() >= most_strangers + peers_.size()) return false;
  const int fd = socket.get();
  watch(fd, event(stranger_event, static_cast<std::uint64_t>(fd)));
  strangers_[fd] = {std::move(socket), {}, std::chrono::steady_clock::now()};
  return true;
}

// Somebody may have come, and ended at once.
void SideChannel::hear_all_strangers() {
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    while (accept_from(i)) continue;
  }
  std::vector<int> fds;
  for (const auto& [fd, stranger] : strangers_) fds.push_back(fd);
  for (const int fd : fds) hear_stranger(fd);
}

void SideChannel::hear_stranger(int fd) {
  const auto found = strangers_.find(fd);
  if (found == strangers_.end()) return;
  bool gone = false;
  const auto note = read_note(fd, found->second.unread, gone);
  if (!note && !gone) return;
  const auto peer = note ? peers_.find(note->value) : peers_.end();
  const bool known = note && note->kind == Note::hello && note->first == invitation_.token[0] && note->second == invitation_.token[1] &&
                     peer != peers_.end() && !peer->second.socket && !peer->second.over;
  static_cast<void>(::epoll_ctl(events_.get(), EPOLL_CTL_DEL, fd, nullptr));
  if (known) {
    peer->second.socket = std::move(found->second.socket);
    peer->second.heard = std::chrono::steady_clock::now();
    watch_host(fd);
    const Note welcome{Note::hello, 0, 0, 0};
    [[maybe_unused]] const auto sent = ::send(fd, &welcome, sizeof(welcome), MSG_NOSIGNAL | MSG_DONTWAIT);
    watch(fd, event(socket_event, static_cast<std::uint64_t>(peer->first)));
  }
  strangers_.erase(found);
}

void SideChannel::drop_old_strangers(Time now) {
  std::erase_if(strangers_, [now](const auto& stranger) { return now - stranger.second.since > stranger_limit; });
}

// ---- who is known ------------------------------------------------------------------------------------------------------------

void SideChannel::read_from(int rank) {
  Known& peer = peers_.at(rank);
  bool gone = false;
  while (peer.socket) {
    const auto note = read_note(peer.socket.get(), peer.unread, gone);
    if (!note) break;
    on_note(rank, peer, *note);
  }
  if (gone) ended(rank, errno == ETIMEDOUT || errno == EHOSTUNREACH ? "its host does not answer" : "its connection was closed");
}

void SideChannel::on_note(int rank, Known& peer, const Note& note) {
  peer.heard = std::chrono::steady_clock::now();
  if (peer.silent && note.kind != Note::bye) {
    peer.silent = false;
    signs_.add({Sign::Kind::answers, rank, "it answers again"});
  }
  switch (note.kind) {
    case Note::crash:
      peer.last.signal = note.value;
      peer.last.task = {note.first, note.second};
      peer.last.seen = name_of(note.value);
      break;
    case Note::exit:
      peer.last.seen = "it left by exit(" + std::to_string(note.value) + ")";
      break;
    case Note::bye:
      peer.over = true;
      peer.socket.reset();
      break;
    default:
      break;
  }
}

void SideChannel::ended(int rank, const std::string& seen) {
  Known& peer = peers_.at(rank);
  peer.socket.reset();
  if (peer.process) static_cast<void>(::epoll_ctl(events_.get(), EPOLL_CTL_DEL, peer.process.get(), nullptr));
  peer.process.reset();
  if (std::exchange(peer.over, true)) return;
  Sign sign = std::exchange(peer.last, {});
  sign.peer = rank;
  if (sign.seen.empty()) sign.seen = seen;
  signs_.add(std::move(sign));
}

void SideChannel::check_silence(Time now) {
  const bool was_stopped = now - std::exchange(last_look_, now) > own_gap;
  for (auto& [rank, peer] : peers_) {
    if (peer.over || !peer.socket) continue;
    if (was_stopped) peer.heard = now;
    if (peer.silent || now - peer.heard < silence_) continue;
    peer.silent = true;
    signs_.add({Sign::Kind::silent, rank,
                "it has given no sign of life for " +
                    std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(now - peer.heard).count()) + " ms"});
  }
}

}  // namespace rankview::liveness

namespace rankview::liveness {
namespace {

// The connections of this process, one for each cluster that it is in, for who has no time to ask: their descriptors and 1, or 0 for none.
// Of more clusters than these some hear only that the process has ended.
std::array<std::atomic<int>, 8> lines{};

void replace(int before, int after) {
  for (auto& line : lines) {
    int there = before + 1;
    if (line.compare_exchange_strong(there, after + 1)) return;
  }
}

void tell(int socket, const Note& note) {
  // Nothing can be done about it if that fails.
  [[maybe_unused]] const auto sent = ::send(socket, &note, sizeof(note), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void tell_all(const Note& note) {
  for (const auto& line : lines) {
    if (const int socket = line - 1; socket >= 0) tell(socket, note);
  }
}

// A child would keep the connections open behind this process's end.
void close_in_child() {
  for (auto& line : lines) {
    if (const int socket = line.exchange(0) - 1; socket >= 0) ::close(socket);
  }
}

}  // namespace

void tell_crash(int signal, const TaskId& task) { tell_all({Note::crash, signal, task.call, task.item}); }

void tell_exit(int status) { tell_all({Note::exit, status, 0, 0}); }

SideLine::SideLine(const Invitation& invitation, int rank, long rank0, std::function<void(const std::string&)> rank0_gone)
    : invitation_(invitation),
      rank_(rank),
      rank0_gone_(std::move(rank0_gone)),
      rank0_(rank0 == 0 ? isolation::Fd() : open_process(rank0)),
      rank0_over_(rank0 != 0 && !rank0_ && errno == ESRCH),
      quit_(::eventfd(0, EFD_CLOEXEC)) {
  static const int registered = pthread_atfork(nullptr, nullptr, &close_in_child);
  static_cast<void>(registered);
  // At once where that cannot take long.
  if (rank0_) connect();
  thread_ = quiet_thread([this] { run(); });
}

SideLine::~SideLine() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(quit_.get(), &one, sizeof(one));
  thread_.join();
}

// Whether it is connected.
bool SideLine::connect() {
  for (std::uint32_t i = 0; i < invitation_.count; ++i) {
    isolation::Fd socket = connect_to(invitation_.hosts[i], invitation_.ports[i], std::chrono::milliseconds(2000), quit_.get());
    if (!socket) continue;
    const Note hello{Note::hello, rank_, invitation_.token[0], invitation_.token[1]};
    if (::send(socket.get(), &hello, sizeof(hello), MSG_NOSIGNAL) != static_cast<ssize_t>(sizeof(hello))) continue;
    watch_host(socket.get());
    socket_ = std::move(socket);
    replace(-1, socket_.get());
    return true;
  }
  return false;
}

void SideLine::run() {
  if (rank0_over_) {
    rank0_gone_("its process has ended");
    return;
  }
  if (!socket_) connect();
  std::array<pollfd, 3> watched{{{quit_.get(), POLLIN, 0}, {rank0_.get(), POLLIN, 0}, {socket_.get(), POLLIN, 0}}};
  for (;;) {
    const int any = ::poll(watched.data(), watched.size(), static_cast<int>(beat_period.count()));
    if (watched[0].revents != 0) break;
    if (any > 0 && watched[2].revents != 0 && !listen_to_rank0()) {
      // Not known to rank 0, or not needed any more; its process, if it is near, is watched on.
      watched[2].fd = -1;
      if (welcome_) return;
    }
    if (any > 0 && watched[1].revents != 0) {
      rank0_gone_("its process has ended");
      return;
    }
    if (socket_) tell(socket_.get(), {});
  }
  if (!socket_) return;
  replace(socket_.get(), -1);
  tell(socket_.get(), {Note::bye, 0, 0, 0});
}

// Rank 0 says that it knows of this, and later good-bye. Before and behind these the end of the connection means nothing. Whether to go on.
bool SideLine::listen_to_rank0() {
  Note note;
  const ssize_t got = ::recv(socket_.get(), &note, sizeof(note), MSG_DONTWAIT);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return true;
  const int error = errno;
  const bool whole = got == static_cast<ssize_t>(sizeof(note));
  if (whole && note.kind == Note::hello) {
    welcome_ = true;
    return true;
  }
  replace(socket_.get(), -1);
  socket_.reset();
  if (!(whole && note.kind == Note::bye) && welcome_)
    rank0_gone_(got < 0 && error == ETIMEDOUT ? "its host does not answer" : "its connection was closed");
  return false;
}

}  // namespace rankview::liveness

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/tcp.h>

namespace rankview::liveness {
namespace {

sockaddr_in address(std::uint32_t host, std::uint16_t port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = host;
  at.sin_port = port;
  return at;
}

void set(int socket, int level, int option, int value) {
  // Where the system does not know it, less is noticed.
  static_cast<void>(::setsockopt(socket, level, option, &value, sizeof(value)));
}

// An address of an interface.
struct Local {
  std::string name;
  std::uint32_t host = 0;
};

std::vector<Local> local_addresses() {
  std::vector<Local> all;
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) return all;
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(first, &::freeifaddrs);
  for (const ifaddrs* at = first; at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr || at->ifa_addr->sa_family != AF_INET) continue;
    if ((at->ifa_flags & IFF_UP) == 0 || (at->ifa_flags & IFF_LOOPBACK) != 0) continue;
    all.push_back({at->ifa_name, reinterpret_cast<const sockaddr_in*>(at->ifa_addr)->sin_addr.s_addr});
  }
  return all;
}

// Whether an address is in a network that is written as 10.1.0.0/16.
bool in_network(std::uint32_t host, std::string_view network) {
  const std::size_t slash = network.find('/');
  if (slash == std::string_view::npos) return false;
  in_addr base{};
  unsigned bits = 0;
  if (::inet_pton(AF_INET, std::string(network.substr(0, slash)).c_str(), &base) != 1) return false;
  if (std::from_chars(network.data() + slash + 1, network.data() + network.size(), bits).ec != std::errc() || bits > 32) return false;
  const std::uint32_t mask = bits == 0 ? 0 : ~std::uint32_t{0} << (32 - bits);
  return (ntohl(host) & mask) == (ntohl(base.s_addr) & mask);
}

// Whether Open MPI's list of interfaces, `eth0,10.1.0.0/16`, has that one.
bool listed(std::string_view list, const Local& local) {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    const std::string_view each = list.substr(0, comma);
    if (each == local.name || in_network(local.host, each)) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

// The address that packets to a host leave by.
std::optional<std::uint32_t> address_towards(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), "9", &hints, &found) != 0) return std::nullopt;
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  const isolation::Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  // Nothing is sent by that.
  if (!socket || ::connect(socket.get(), found->ai_addr, found->ai_addrlen) != 0) return std::nullopt;
  sockaddr_in own{};
  socklen_t size = sizeof(own);
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&own), &size) != 0) return std::nullopt;
  return own.sin_addr.s_addr;
}

}  // namespace

isolation::Fd open_process(long pid) {
#ifdef SYS_pidfd_open
  return isolation::Fd(static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0)));
#else
  static_cast<void>(pid);
  return {};
#endif
}

Listener listen_on(std::uint32_t host) {
  isolation::Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in at = address(host, 0);
  socklen_t size = sizeof(at);
  if (!socket || ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&at), size) != 0 || ::listen(socket.get(), SOMAXCONN) != 0 ||
      ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&at), &size) != 0)
    return {};
  return {std::move(socket), at.sin_port};
}

isolation::Fd connect_to(std::uint32_t host, std::uint16_t port, std::chrono::milliseconds limit, int quit) {
  isolation::Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return {};
  const sockaddr_in at = address(host, port);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&at), sizeof(at)) != 0) {
    if (errno != EINPROGRESS) return {};
    std::array<pollfd, 2> watched{{{socket.get(), POLLOUT, 0}, {quit, POLLIN, 0}}};
    const int any = ::poll(watched.data(), watched.size(), static_cast<int>(limit.count()));
    int error = 0;
    socklen_t size = sizeof(error);
    if (any <= 0 || watched[1].revents != 0 || ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0)
      return {};
  }
  return socket;
}

void watch_host(int socket) {
  constexpr int limit = static_cast<int>(host_limit.count());
  set(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(socket, IPPROTO_TCP, TCP_KEEPIDLE, limit / 2);
  set(socket, IPPROTO_TCP, TCP_KEEPINTVL, 1);
  set(socket, IPPROTO_TCP, TCP_KEEPCNT, limit / 2);
  set(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, limit * 1000);
  set(socket, IPPROTO_TCP, TCP_NODELAY, 1);
}

std::vector<std::uint32_t> job_addresses(const std::vector<std::string>& hosts) {
  std::vector<std::uint32_t> chosen;
  const auto add = [&chosen](std::uint32_t host) {
    if (std::find(chosen.begin(), chosen.end(), host) == chosen.end()) chosen.push_back(host);
  };
  const std::vector<Local> all = local_addresses();
  for (const char* variable : {"OMPI_MCA_btl_tcp_if_include", "OMPI_MCA_oob_tcp_if_include"}) {
    const char* const list = std::getenv(variable);
    if (list == nullptr || !chosen.empty()) continue;
    for (const Local& local : all) {
      if (listed(list, local)) add(local.host);
    }
  }
  if (!chosen.empty()) return chosen;
  // The hosts of one job are reached by few interfaces.
  constexpr std::size_t enough = 16;
  for (std::size_t i = 0; i < std::min(enough, hosts.size()); ++i) {
    if (const auto own = address_towards(hosts[i])) add(*own);
  }
  // What leads to this host itself leads to no other.
  std::erase(chosen, htonl(INADDR_LOOPBACK));
  if (!chosen.empty()) return chosen;
  for (const Local& local : all) add(local.host);
  return chosen;
}

}  // namespace rankview::liveness

namespace rankview::scheduler {

Verdict After::verdict() const {
  if (total_ == 0) return Verdict::met;
  const std::uint64_t wanted = (rule_.success ? succeeded_ : 0) + (rule_.failure ? failed_ : 0);
  const std::uint64_t unwanted = succeeded_ + failed_ - wanted;
  if (rule_.all) {
    if (unwanted != 0) return Verdict::impossible;
    return wanted == total_ ? Verdict::met : Verdict::waiting;
  }
  if (wanted != 0) return Verdict::met;
  return unwanted == total_ ? Verdict::impossible : Verdict::waiting;
}

void Follow::ended(int engine, bool well) {
  ++ended_;
  if (engine < 0 || !(well ? rule_.success : rule_.failure)) return;
  if (!targets_.empty() && std::find(targets_.begin(), targets_.end(), engine) == targets_.end()) return;
  const auto known = std::find_if(at_.begin(), at_.end(), [engine](const auto& at) { return at.first == engine; });
  if (known != at_.end()) {
    ++known->second;
  } else {
    at_.emplace_back(engine, 1);
  }
}

Verdict Follow::verdict() const {
  if (total_ == 0) return Verdict::met;
  if (rule_.all) {
    if (ended_ == 0) return Verdict::waiting;
    const bool together = at_.size() == 1 && at_.front().second == ended_;
    if (!together) return Verdict::impossible;
    return ended_ == total_ ? Verdict::met : Verdict::waiting;
  }
  if (!at_.empty()) return Verdict::met;
  return ended_ == total_ ? Verdict::impossible : Verdict::waiting;
}

std::vector<int> Follow::engines() const {
  std::vector<int> engines;
  for (const auto& [engine, tasks] : at_) engines.push_back(engine);
  std::sort(engines.begin(), engines.end());
  return engines;
}

Dependencies::Node Dependencies::add(std::uint64_t call) {
  Node node = static_cast<Node>(vertices_.size());
  if (free_.empty()) {
    vertices_.emplace_back();
  } else {
    node = free_.back();
    free_.pop_back();
  }
  vertices_[node].call = call;
  return node;
}

void Dependencies::wait(Node node, Needs needs) {
  vertices_[node].needs = std::make_unique<Needs>(std::move(needs));
  ++waiting_;
}

void Dependencies::depend(Node node, Node on, std::uint64_t item, Need need) {
  Vertex& vertex = vertices_[on];
  Edges* edges = &vertex.on_every;
  if (item != every) {
    if (vertex.on_item == nullptr) vertex.on_item = std::make_unique<std::unordered_map<std::uint64_t, Edges>>();
    edges = &(*vertex.on_item)[item];
  }
  edges->push_back({node, need, vertices_[node].call});
}

void Dependencies::settle(Node node, std::uint64_t cause_call, std::uint64_t cause_item) {
  decide(vertices_[node], cause_call, cause_item);
}

void Dependencies::ended(Node node, std::uint64_t item, int engine, bool well) {
  const Vertex& vertex = vertices_[node];
  tell(vertex.on_every, vertex.call, item, engine, well);
  if (vertex.on_item == nullptr) return;
  const auto found = vertex.on_item->find(item);
  if (found == vertex.on_item->end()) return;
  tell(found->second, vertex.call, item, engine, well);
  vertex.on_item->erase(found);
}

void Dependencies::tell(const Edges& edges, std::uint64_t call, std::uint64_t item, int engine, bool well) {
  for (const Edge& edge : edges) {
    Vertex& dependent = vertices_[edge.node];
    if (dependent.call != edge.call || dependent.needs == nullptr) continue;
    switch (edge.need) {
      case Need::after:
        dependent.needs->after.ended(well);
        break;
      case Need::argument:
        dependent.needs->arguments.ended(well);
        break;
      case Need::follow:
        dependent.needs->follow->ended(engine, well);
    }
    decide(dependent, call, item);
  }
}

void Dependencies::decide(Vertex& vertex, std::uint64_t cause_call, std::uint64_t cause_item) {
  const Needs& needs = *vertex.needs;
  const Verdict verdicts[] = {needs.after.verdict(), needs.arguments.verdict(), needs.follow ? needs.follow->verdict() : Verdict::met};
  const auto is = [](Verdict wanted) { return [wanted](Verdict verdict) { return verdict == wanted; }; };
  Decision decision;
  decision.call = vertex.call;
  if (std::any_of(std::begin(verdicts), std::end(verdicts), is(Verdict::impossible))) {
    decision.verdict = Verdict::impossible;
    decision.cause_call = cause_call;
    decision.cause_item = cause_item;
  } else if (std::all_of(std::begin(verdicts), std::end(verdicts), is(Verdict::met))) {
    decision.verdict = Verdict::met;
    if (needs.follow) decision.engines = needs.follow->engines();
  } else {
    return;
  }
  vertex.needs.reset();
  --waiting_;
  decisions_.push_back(std::move(decision));
}

void Dependencies::remove(Node node) {
  if (vertices_[node].needs) --waiting_;
  vertices_[node] = {};
  free_.push_back(node);
}

std::optional<Dependencies::Decision> Dependencies::next() {
  if (decisions_.empty()) return std::nullopt;
  Decision decision = std::move(decisions_.front());
  decisions_.pop_front();
  return decision;
}

}  // namespace rankview::scheduler

// An item that is taken out of what waits.
namespace rankview::scheduler {

std::vector<Entry> Entry::cut_out(std::uint64_t item) {
  std::vector<Entry> rest;
  const auto keep = [&](std::uint64_t begin, std::uint64_t end, std::uint64_t in_chunks) {
    if (begin != end) rest.push_back({terms, call, begin, end - begin, in_chunks});
  };
  if (!terms->in_chunks) {
    keep(item + 1, end(), end() - item - 1);
    count = item - first;
    chunks = count;
    return rest;
  }
  for (std::uint64_t at = chunk; at < chunks; ++at) {
    const std::uint64_t begin = boundary(at);
    const std::uint64_t behind = boundary(at + 1);
    if (item < begin || item >= behind) {
      keep(begin, behind, 1);
    } else {
      keep(begin, item, 1);
      keep(item + 1, behind, 1);
    }
  }
  chunk = chunks;
  return rest;
}

bool Entries::cut_out(std::uint64_t call, std::uint64_t item) {
  const auto has = [&](const Entry& entry) { return entry.call == call && entry.gang == nullptr && entry.has(item); };
  // What is left stands in its place.
  if (const auto entry = std::find_if(in_order_.begin(), in_order_.end(), has); entry != in_order_.end()) {
    std::vector<Entry> rest = entry->cut_out(item);
    in_order_.insert(std::next(entry), std::make_move_iterator(rest.begin()), std::make_move_iterator(rest.end()));
    return true;
  }
  const auto entry = std::find_if(late_.begin(), late_.end(), has);
  if (entry == late_.end()) return false;
  Entry cut = std::move(late_.extract(entry).value());
  for (Entry& part : cut.cut_out(item)) late_.insert(std::move(part));
  if (!cut.over()) late_.insert(std::move(cut));
  return true;
}

}  // namespace rankview::scheduler

// An engine goes, for good or for a while: what it had, what only it could have run, and what others now have to run where they did not.
namespace rankview::scheduler {

Scheduler::Lost Scheduler::lose_engine(int id) {
  Lost lost;
  Engine& gone = engine(id);
  const auto strand = [&](Queue& queue) {
    queue.entries.for_each([&](const Entry& entry) {
      if (entry.over()) return;
      lost.stranded.push_back({entry.call, entry.boundary(entry.chunk), entry.end()});
      waiting_ -= entry.left();
    });
    queue.entries.clear();
    queue.runnable = false;
    release(queue);
  };
  // What waits for several engines together does not come about.
  std::set<Gang*> broken;
  if (rest(gone).bound != nullptr) {
    for (const auto& queue : rest(gone).bound->queues) {
      queue->entries.for_each([&broken](const Entry& entry) {
        if (entry.gang != nullptr) broken.insert(entry.gang.get());
      });
    }
  }
  for (Gang* const gang : broken) {
    RANKVIEW_MARK(gang_broken_by_death);
    const std::vector<int> members = gang->engines;  // the gang goes with its last entry
    for (const int member : members) {
      if (member == id) continue;
      TargetSet& targets = *rest(engine(member)).bound;
      Queue& queue = *targets.queues.front();
      if (targets.waits_for_gang && queue.entries.front().gang.get() == gang) targets.waits_for_gang = false;
      queue.entries.erase_if([&](const Entry& entry) {
        if (entry.gang.get() != gang) return false;
        if (entry.over()) return true;
        lost.stranded.push_back({entry.call, entry.first, entry.end()});
        --waiting_;
        return true;
      });
      skip_over(queue);
    }
  }
  engines_.bury(gone);
  stretch_limits();
  gone.listed = {};
  lost.in_hand = take_in_hand(gone);

  const auto shrink = [&](TargetSet& targets) {
    --targets.engines;
    if (targets.engines == 0) {
      for (const auto& queue : targets.queues) strand(*queue);
      return;
    }
    // Those that were kept from all others may have nobody left.
    std::vector<Entry> moved;
    for (const auto& queue : targets.queues) {
      if (queue->entries.empty() || avoided(targets, *queue->entries.front().terms) == queue->avoids()) continue;
      queue->entries.for_each([&moved](Entry& entry) {
        if (!entry.over()) moved.push_back(std::move(entry));
      });
      queue->entries.clear();
      queue->runnable = false;
      release(*queue);
    }
    for (Entry& entry : moved) {
      if (const auto avoid = avoided(targets, *entry.terms)) {
        Queue& queue = queue_for(targets, *entry.terms, *avoid);
        insert(queue, std::move(entry));
        set_runnable(queue);
      } else {
        waiting_ -= entry.left();
        lost.stranded.push_back({entry.call, entry.boundary(entry.chunk), entry.end()});
      }
    }
  };
  shrink(target_sets_.everyone());
  for (const Membership& membership : rest(gone).target_sets) shrink(*membership.targets);
  // Teams that it followed in end, too.
  for (const auto& known : target_sets_.of_teams()) {
    TargetSet& targets = *known.second;
    std::vector<int> ended;
    for (const auto& [first, others] : targets.followers) {
      if (first == id || std::find(others.begin(), others.end(), id) != others.end()) ended.push_back(first);
    }
    for (const int first : ended) {
      targets.followers.erase(first);
      if (first == id) continue;
      for (const auto& queue : targets.queues) {
        if (queue->keeps == first) release(*queue);
      }
      unlist(targets, engine(first));
      leave(engine(first), [&targets](const TargetSet* each) { return each == &targets; });
      shrink(targets);
    }
  }
  rest(gone).target_sets.clear();
  gone.joined = false;
  return lost;
}

// ---- for a while -------------------------------------------------------------------------------------------------------------

std::vector<Range> Scheduler::set_aside(int id) {
  Engine& silent = engine(id);
  engines_.set_aside(silent);
  // Its turn with others comes when it is back.
  if (TargetSet* const bound = rest(silent).bound; bound != nullptr && std::exchange(bound->waits_for_gang, false)) {
    RANKVIEW_MARK(gang_member_set_aside);
    --bound->queues.front()->entries.front().gang->ready;
  }
  return take_in_hand(silent);
}

void Scheduler::take_back(int id) {
  Engine& back = engine(id);
  engines_.take_back(back);
  offer(back);
  // Teams that it follows in.
  for (const auto& known : target_sets_.of_teams()) {
    TargetSet& targets = *known.second;
    for (const auto& [first, others] : targets.followers) {
      if (std::find(others.begin(), others.end(), id) != others.end()) offer(targets, engine(first));
    }
  }
}

// Whether all of the team that the engine stands for can be handed something.
bool Scheduler::team_present(const TargetSet& targets, const Engine& first) const {
  const auto team = targets.followers.find(first.id);
  return team == targets.followers.end() ||
         std::all_of(team->second.begin(), team->second.end(), [this](int follower) { return engine(follower).present(); });
}

std::vector<Range> Scheduler::take_in_hand(Engine& engine) {
  std::vector<Range> ranges;
  for (std::size_t i = 0; i < assignments(engine); ++i) {
    const Assignment& part = assignment(engine, i);
    ranges.push_back({part.call, part.first, part.end(), part.whole()});
    --part.terms->targets->in_hand;
  }
  std::erase_if(ready_, [&engine](const Grant& grant) { return grant.engine == engine.id; });
  engine.oldest = {};
  engine.more = false;
  rest(engine).backlog = {};
  engines_.set_used(engine, 0);
  engines_.set_items(engine, 0);
  if (engine.kept) release(*rest(engine).kept_for);
  engine.suspended = 0;
  engine.overdue = engine.recalling = engine.watched = false;
  return ranges;
}

}  // namespace rankview::scheduler

// Whom work goes to that names a policy other than the least load.
namespace rankview::scheduler {

int Scheduler::draw(Queue& queue) {
  TargetSet& targets = *queue.targets;
  const Entry& entry = queue.entries.front();
  std::vector<int> willing;
  for (const std::deque<int>* list : {&targets.idle, &targets.hungry}) {
    for (const int id : *list) {
      // Who stands in both lists counts in the one where it belongs.
      const bool belongs = engine(id).idle() == (list == &targets.idle) && wants(targets, engine(id));
      if (belongs && accepts(engine(id), queue, entry)) willing.push_back(id);
    }
  }
  if (willing.empty()) return -1;
  const auto take = [&](int id) {
    unlist(targets, engine(id));
    return id;
  };
  const auto any = [&] { return willing[std::uniform_int_distribution<std::size_t>(0, willing.size() - 1)(random_)]; };
  const auto items = [this](int id) { return engine(id).items; };
  switch (entry.terms->policy) {
    case Policy::lru:
      return take(
          *std::min_element(willing.begin(), willing.end(), [this](int a, int b) { return engines_.granted(a) < engines_.granted(b); }));
    case Policy::two_bin: {
      const int a = any();
      const int b = any();
      return take(items(b) < items(a) ? b : a);
    }
    case Policy::weighted: {
      std::vector<double> weights;
      weights.reserve(willing.size());
      for (const int id : willing) weights.push_back(1.0 / (1e-6 + static_cast<double>(items(id))));
      return take(willing[std::discrete_distribution<std::size_t>(weights.begin(), weights.end())(random_)]);
    }
    case Policy::pack: {
      const auto left = [this](int id) { return engine(id).slots - engine(id).used; };
      return take(*std::min_element(willing.begin(), willing.end(), [&left](int a, int b) { return left(a) < left(b); }));
    }
    case Policy::random:
    case Policy::least_load:
      break;
  }
  return take(any());
}

}  // namespace rankview::scheduler

// Work that waits: where it stands, and whom it may not go to.
namespace rankview::scheduler {
namespace {

bool contains(const std::vector<int>& ids, int id) { return std::find(ids.begin(), ids.end(), id) != ids.end(); }

}  // namespace

// ---- queues ------------------------------------------------------------------------------------------------------------------

Queue& Scheduler::queue_for(TargetSet& targets, const Terms& terms, std::vector<int> avoid) {
  // What one engine is to do is done in order.
  QueueId id = targets.bound ? QueueId() : QueueId(terms.priority, terms.submitter, std::move(avoid), terms.slots);
  for (const auto& queue : targets.queues) {
    if (queue->id == id) return *queue;
  }
  // One that is not needed any more will do.
  for (const auto& queue : targets.queues) {
    if (!queue->entries.empty() || queue->listed != 0) continue;
    queue->id = std::move(id);
    queue->turn = 0;
    return *queue;
  }
  targets.queues.push_back(std::make_unique<Queue>());
  Queue& queue = *targets.queues.back();
  queue.targets = &targets;
  queue.number = target_sets_.number_queue();
  queue.id = std::move(id);
  return queue;
}

void Scheduler::drop_if_unused(Queue& queue) {
  TargetSet& targets = *queue.targets;
  if (!queue.entries.empty() || queue.listed != 0 || targets.queues.size() == 1) return;
  std::erase_if(targets.queues, [&queue](const auto& q) { return q.get() == &queue; });
}

void Scheduler::set_runnable(TargetSet& targets) {
  for (const auto& queue : targets.queues) set_runnable(*queue);
}

void Scheduler::set_runnable(Queue& queue) {
  const TargetSet& targets = *queue.targets;
  if (targets.waits_for_gang || queue.entries.empty() || (targets.idle.empty() && targets.hungry.empty())) return;
  const Key key{-static_cast<std::int64_t>(queue.priority()), queue.turn, queue.entries.front().call, queue.number};
  if (queue.runnable && queue.key == key) return;
  queue.runnable = true;
  queue.key = key;
  ++queue.listed;
  runnable_.emplace(key, &queue);
}

// Of priorities of which nothing waits. Their queues, which are empty, begin with the next work as new ones do.
void Scheduler::forget_turns() {
  std::set<std::int32_t> used;
  for (const auto& targets : target_sets_.all()) {
    for (const auto& queue : targets->queues) {
      if (!queue->entries.empty()) used.insert(std::get<0>(queue->id));
    }
  }
  turns_.forget([&used](std::int32_t priority) { return !used.contains(priority); });
  for (const auto& targets : target_sets_.all()) {
    for (const auto& queue : targets->queues) {
      if (!used.contains(std::get<0>(queue->id))) queue->turn = 0;
    }
  }
}

// ---- work --------------------------------------------------------------------------------------------------------------------

// Mostly what is submitted next has the same.
SharedTerms Scheduler::terms_of(TargetSet& targets, const Work& work) {
  Terms terms;
  terms.targets = &targets;
  terms.kind = &durations_.of(work.kind);
  terms.item_bytes = work.item_bytes;
  terms.submitter = work.submitter;
  terms.hwm = work.hwm;
  terms.priority = work.priority;
  terms.slots = work.slots;
  terms.least_slots = std::max(work.slots, work.least_slots);
  terms.policy = work.policy;
  terms.alone = work.alone;
  terms.in_chunks = work.chunks != work.count;
  terms.avoid = work.avoid;
  if (last_terms_ == nullptr || last_terms_->tie() != terms.tie()) last_terms_ = new Terms(std::move(terms));
  return last_terms_;
}

bool Scheduler::submit(const Work& work, const Placement& placement) {
  if (work.count == 0) return true;
  if (placement.kind == Placement::Kind::together) {
    submit_together(work, *placement.engines);
    return true;
  }
  return enqueue({terms_of(target_set_for(placement), work), work.call, work.first, work.count, work.chunks});
}

// That is how it mostly is where calls come one by one. Turns are for what waits, so this does not count as one.
bool Scheduler::submit_at_once(const Work& work, const Placement& placement, Grant& grant) {
  if (paused_ || waiting_ != 0 || engines_.idle() == 0 || work.count != 1 || work.hwm != 0 || work.least_slots > engines_.least_slots() ||
      work.slots != 0 || work.avoid != nullptr)
    return false;
  const bool bound = placement.kind == Placement::Kind::bound;
  TargetSet& everyone = target_sets_.everyone();
  if (!bound && (placement.kind != Placement::Kind::anyone || work.policy != Policy::least_load || everyone.idle.empty())) return false;
  Engine& to = engine(bound ? placement.engine : everyone.idle.front());
  if (!to.present() || !to.idle() || to.kept) return false;
  TargetSet& targets = bound ? bound_set(to.id) : everyone;
  Listed& where = listed(targets, to);
  if (where.idle && targets.idle.front() == to.id) {
    targets.idle.pop_front();
    where.idle = false;
  }
  const Entry entry{terms_of(targets, work), work.call, work.first, 1, 1};
  const Duration& kind = *entry.terms->kind;
  grant = {to.id, work.call, work.first, work.first + 1, kind.samples == 0 || kind.mean >= static_cast<double>(limits_.slow)};
  assign(to, entry, work.first, work.first + 1);
  offer(to);
  return true;
}

void Scheduler::submit_together(const Work& work, const std::vector<int>& engines) {
  const auto gang = std::make_shared<Gang>();
  gang->engines = engines;
  waiting_ += work.count;
  Work own = work;
  own.chunks = own.count;
  own.alone = true;  // what follows is not to be merged with it
  for (std::size_t i = 0; i < engines.size(); ++i) {
    TargetSet& targets = bound_set(engines[i]);
    SharedTerms terms = terms_of(targets, own);
    Queue& queue = queue_for(targets, *terms, {});
    queue.entries.append({std::move(terms), work.call, work.first + i, 1, 1, 0, gang});
    set_runnable(queue);
  }
}

// Whom work of this target set is to be kept from: nothing if that is everybody.
std::optional<std::vector<int>> Scheduler::avoided(const TargetSet& targets, const Terms& terms) const {
  const Avoid* const avoid = terms.avoid.get();
  const bool fits_all = terms.least_slots <= engines_.least_slots();
  if (avoid == nullptr && fits_all) return std::vector<int>();
  std::vector<int> refused;
  const auto add = [&](const std::vector<int>& ids, std::vector<int>& to) {
    for (const int id : ids) {
      if (live(id) && !contains(to, id) && in(targets, engine(id))) to.push_back(id);
    }
    std::sort(to.begin(), to.end());
  };
  if (!fits_all) {
    for (const Engine& member : engines_) {
      if (member.live && member.slots < terms.least_slots && in(targets, member)) refused.push_back(member.id);
    }
  }
  if (avoid != nullptr) add(avoid->refused, refused);
  if (refused.size() == targets.engines) return std::nullopt;
  std::vector<int> all = refused;
  if (avoid != nullptr) add(avoid->tried, all);
  return all.size() == targets.engines ? refused : all;
}

// False if nobody may run it.
bool Scheduler::enqueue(Entry entry) {
  const Terms& terms = *entry.terms;
  TargetSet& targets = *terms.targets;
  if (targets.engines == 0) return false;
  auto avoid = avoided(targets, terms);
  if (!avoid) return false;
  Queue& queue = queue_for(targets, terms, std::move(*avoid));
  waiting_ += entry.count;
  if (queue.entries.empty()) queue.turn = std::max(queue.turn, turns_.of(terms.priority));
  if (terms.hwm > targets.hwm && terms.hwm > 1) {
    targets.hwm = terms.hwm;
    for (Engine& member : engines_) {
      if (in(targets, member)) offer(targets, member);
    }
  }
  insert(queue, std::move(entry));
  set_runnable(queue);
  return true;
}

void Scheduler::insert(Queue& queue, Entry entry) {
  Entries& entries = queue.entries;
  const auto mergeable = [](const Entry& part) { return !part.terms->alone && !part.terms->in_chunks; };
  // A map arrives in pieces; in the queue it is one.
  if (Entry* const last = entries.last(); last != nullptr && last->call == entry.call && last->end() == entry.first && mergeable(*last) &&
                                          mergeable(entry) && last->terms->avoid == entry.terms->avoid) {
    last->count += entry.count;
    last->chunks += entry.chunks;
  } else if (queue.targets->bound) {
    entries.append(std::move(entry));
  } else {
    entries.insert(std::move(entry));
  }
}

template <class F>
void Scheduler::for_target_sets(const Placement& placement, F f) {
  const auto bound = [&](int id) {
    if (TargetSet* const targets = live(id) ? rest(engine(id)).bound : nullptr; targets != nullptr) f(*targets);
  };
  if (placement.kind == Placement::Kind::together) {
    for (const int id : *placement.engines) bound(id);
  } else if (placement.kind == Placement::Kind::bound) {
    bound(placement.engine);
  } else {
    f(target_set_for(placement));
  }
}

void Scheduler::withdraw(std::uint64_t call, const Placement& placement) {
  for_target_sets(placement, [&](TargetSet& targets) {
    for (const auto& queue : targets.queues) {
      Entries& entries = queue->entries;
      // Those within stay as gaps, since calls may be given up in any order.
      const auto give_up = [&](Entry& entry) {
        if (entry.call != call || entry.over()) return;
        if (targets.waits_for_gang && &entry == &entries.front()) targets.waits_for_gang = false;
        waiting_ -= entry.left();
        entry.chunk = entry.chunks;
      };
      if (targets.bound) {
        entries.for_each(give_up);
      } else {
        entries.for_each_of(call, give_up);
      }
      if (entries.empty() || (!entries.front().over() && entries.front().gang == nullptr)) continue;
      skip_over(*queue);
    }
  });
}

bool Scheduler::withdraw(std::uint64_t call, std::uint64_t item, const Placement& placement) {
  bool found = false;
  for_target_sets(placement, [&](TargetSet& targets) {
    for (const auto& queue : targets.queues) {
      if (found || !queue->entries.cut_out(call, item)) continue;
      found = true;
      --waiting_;
      if (queue->entries.front().over()) skip_over(*queue);
    }
  });
  return found;
}

// The entry in front may be over, or another than before.
void Scheduler::skip_over(Queue& queue) {
  queue.entries.skip_over();
  queue.runnable = false;
  if (queue.entries.empty()) release(queue);
  set_runnable(queue);
}

}  // namespace rankview::scheduler

// What was handed out ahead of need and then waits behind a long item is taken back.
namespace rankview::scheduler {
namespace {

// So many engines are looked at in a call, while somebody has nothing to do, and else.
constexpr std::size_t looks = 1024;
constexpr std::size_t looks_in_passing = 128;

}  // namespace

// Whether the engine has ended nothing for long, as far as one can tell from looks like this.
bool Scheduler::overdue(Engine& engine, Nanoseconds now) {
  Rest& seen = rest(engine);
  if (!engine.watched || engine.ended != seen.ended_when_watched) {
    engine.watched = true;
    seen.watched_since = now;
    seen.ended_when_watched = engine.ended;
    return false;
  }
  return now - seen.watched_since >= (engines_.idle() != 0 ? limits_.overdue : limits_.stuck);
}

// Whether it has more than it would be handed by now, while somebody else has nothing to do: its items have become longer.
bool Scheduler::overloaded(const Engine& engine) const {
  if (engines_.idle() == 0 || waiting_ != 0) return false;
  const auto time = time_in_hand(engine);
  return time && *time > stretched(limits_.in_hand);
}

// Whether an engine with nothing to do could run this, or, where everybody is busy, any other.
bool Scheduler::has_taker(TargetSet& targets, const Avoid* avoid) {
  if (engines_.idle() == 0) return targets.engines > 1;
  const auto kept_from = [](const std::vector<int>& ids, int id) { return std::find(ids.begin(), ids.end(), id) != ids.end(); };
  const auto idles = [this](int id) { return engine(id).present() && engine(id).idle(); };
  while (!targets.idle.empty() && !idles(targets.idle.front())) {
    Engine& stale = engine(targets.idle.front());
    targets.idle.pop_front();
    if (stale.live) listed(targets, stale).idle = false;
  }
  return std::any_of(targets.idle.begin(), targets.idle.end(), [&](int id) {
    if (!idles(id)) return false;
    return avoid == nullptr || (!kept_from(avoid->refused, id) && !kept_from(avoid->tried, id));
  });
}

// What it could give back: what others may run, but for the item that it is at. `to_takers`: only what one of them could begin now.
std::vector<Range> Scheduler::recallable(Engine& engine, bool to_takers) {
  std::vector<Range> ranges;
  for (std::size_t i = 0; i < assignments(engine); ++i) {
    const Assignment& part = assignment(engine, i);
    const bool whole = part.whole();
    const std::uint64_t begin = i == 0 && !whole ? part.first + 1 : part.first;
    const bool running = i == 0 && (whole || part.count == 1);
    if (running || !part.terms->targets->recallable()) continue;
    if (to_takers && !has_taker(*part.terms->targets, part.terms->avoid.get())) continue;
    ranges.push_back({part.call, begin, part.end(), whole});
  }
  return ranges;
}

std::optional<Recall> Scheduler::recall(Nanoseconds now) {
  if (!unbalanced()) return std::nullopt;
  for (std::size_t i = std::min(engines_.idle() != 0 ? looks : looks_in_passing, engines_.crowded()); i != 0; --i) {
    Engine& holder = engines_.next_crowded();
    if (holder.recalling || holder.idle() || rest(holder).ended_when_kept == holder.ended) continue;
    if (overdue(holder, now)) {
      RANKVIEW_MARK(found_overdue);
      holder.overdue = true;
    } else if (!overloaded(holder)) {
      continue;
    }
    std::vector<Range> ranges = recallable(holder, true);
    if (ranges.empty()) continue;
    holder.recalling = true;
    return Recall{holder.id, std::move(ranges)};
  }
  return std::nullopt;
}

std::vector<Recall> Scheduler::recall_all() {
  std::vector<Recall> recalls;
  for (Engine& holder : engines_) {
    if (!holder.present() || holder.idle()) continue;
    std::vector<Range> ranges = recallable(holder, false);
    if (ranges.empty()) continue;
    holder.recalling = true;
    recalls.push_back({holder.id, std::move(ranges)});
  }
  return recalls;
}

void Scheduler::returned(int id, const std::vector<Range>& ranges) {
  Engine& from = engine(id);
  if (!from.present()) return;
  from.recalling = false;
  from.watched = false;
  // It is not to be asked again before something has changed.
  if (ranges.empty()) rest(from).ended_when_kept = from.ended;
  for (const Range& range : ranges) {
    for (std::size_t i = 0; i < assignments(from);) {
      const Assignment& part = assignment(from, i);
      const std::uint64_t begin = std::max(range.begin, part.first);
      const std::uint64_t end = std::min(range.end, part.end());
      if (part.call != range.call || begin >= end) {
        ++i;
        continue;
      }
      const std::uint64_t items = end - begin;
      Entry back{part.terms, part.call, begin, items, part.terms->in_chunks ? 1 : items};
      let_go(from, i, begin, end);
      enqueue(std::move(back));
      i = 0;  // the assignments have moved
    }
  }
  offer(from);
}

}  // namespace rankview::scheduler

namespace rankview::scheduler {

// ---- what engines have in hand -----------------------------------------------------------------------------------------------

// Nanoseconds of work; nothing if some of it is of unknown kind.
std::optional<double> Scheduler::time_in_hand(const Engine& engine) const {
  if (engine.oldest.terms == nullptr) return 0;
  const auto oldest = engine.oldest.time();
  if (!engine.more || !oldest) return oldest;
  const auto more = rest(engine).backlog.time();
  return more ? std::optional(*oldest + *more) : std::nullopt;
}

std::uint64_t Scheduler::items_of(const Engine& engine, const Duration& kind) const {
  if (engine.oldest.terms == nullptr) return 0;
  const std::uint64_t oldest = engine.oldest.terms->kind == &kind ? engine.oldest.count : 0;
  return oldest + (engine.more ? rest(engine).backlog.items_of(kind) : 0);
}

std::size_t Scheduler::assignments(const Engine& engine) const {
  if (engine.oldest.terms == nullptr) return 0;
  return 1 + (engine.more ? rest(engine).backlog.size() : 0);
}

// As number `index` of what it has; the oldest stays.
void Scheduler::insert(Engine& engine, std::size_t index, Assignment assignment) {
  if (index == 0) {
    engine.oldest = std::move(assignment);
  } else {
    rest(engine).backlog.insert(index - 1, std::move(assignment));
    engine.more = true;
  }
}

void Scheduler::erase(Engine& engine, std::size_t index) {
  if (!engine.more) {
    engine.oldest = {};
    return;
  }
  Backlog& backlog = rest(engine).backlog;
  if (index == 0) {
    engine.oldest = backlog.take(0);
  } else {
    backlog.take(index - 1);
  }
  engine.more = backlog.size() != 0;
}

void Scheduler::cut(Engine& engine, std::size_t index, std::uint64_t first, std::uint64_t end) {
  if (index == 0) {
    engine.oldest.cut(first, end);
  } else {
    rest(engine).backlog.cut(index - 1, first, end);
  }
}

// ---- who wants something -----------------------------------------------------------------------------------------------------

// Whether an engine should get more from this target set now.
bool Scheduler::wants(const TargetSet& targets, const Engine& engine) const {
  if (!engine.present() || (engines_.aside() != 0 && !team_present(targets, engine))) return false;
  if (engine.idle()) return true;
  if (engine.used != 0) return engine.used < engine.slots;
  if (targets.bound && engine.items < limits_.bound_items) return true;
  if (engine.items < targets.hwm) return true;
  if (engine.overdue) return false;
  const auto time = time_in_hand(engine);
  return time && *time < static_cast<double>(limits_.longest_ahead);
}

// Whether it may be handed this.
bool Scheduler::accepts(const Engine& engine, const Queue& queue, const Entry& entry) const {
  const std::vector<int>& avoids = queue.avoids();
  if (std::find(avoids.begin(), avoids.end(), engine.id) != avoids.end()) return false;
  if (engine.kept && kept_from(engine, queue)) return false;
  if (engine.idle()) return true;
  if (engine.used != 0 || entry.terms->slots != 0) return has_room(engine, *entry.terms);
  if (entry.terms->hwm != 0) return engine.items < entry.terms->hwm;
  // A few durations are not to be relied on: the first one may have been a tiny fraction of the others.
  const Duration& kind = *entry.terms->kind;
  if (!queue.targets->bound && items_of(engine, kind) >= std::max<std::uint64_t>(1, kind.samples)) return false;
  // It was asked in for another entry's sake.
  return queue.targets->hwm == 0 || (!engine.overdue && time_in_hand(engine).value_or(1e300) < static_cast<double>(limits_.longest_ahead));
}

void Scheduler::offer(TargetSet& targets, Listed& listed, Engine& engine) {
  if (!wants(targets, engine)) return;
  const bool idle = engine.idle();
  bool& there = idle ? listed.idle : listed.hungry;
  if (!there) (idle ? targets.idle : targets.hungry).push_back(engine.id);
  there = true;
  set_runnable(targets);
}

void Scheduler::offer(Engine& engine) {
  offer(target_sets_.everyone(), engine.listed, engine);
  if (!engine.joined) return;
  for (Membership& membership : rest(engine).target_sets) offer(*membership.targets, membership.listed, engine);
}

void Scheduler::unlist(TargetSet& targets, Engine& engine) {
  Listed& where = listed(targets, engine);
  const auto remove = [&engine](std::deque<int>& list, bool& there) {
    if (!std::exchange(there, false)) return;
    if (list.front() == engine.id) {
      list.pop_front();
    } else {
      list.erase(std::find(list.begin(), list.end(), engine.id));
    }
  };
  remove(targets.idle, where.idle);
  remove(targets.hungry, where.hungry);
}

// ---- handing out -------------------------------------------------------------------------------------------------------------

// Takes the first engine out of a list that may be handed what comes next, -1 if there is none, and those that do not belong there.
int Scheduler::take_first(Queue& queue, std::deque<int>& list, bool idle) {
  TargetSet& targets = *queue.targets;
  for (std::size_t i = 0; i < list.size();) {
    Engine& candidate = engine(list[i]);
    const bool belongs = (!idle || candidate.idle()) && wants(targets, candidate);
    const bool taken = belongs && accepts(candidate, queue, queue.entries.front());
    if (belongs && !taken) {
      ++i;
      continue;
    }
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(i));
    if (!candidate.live) continue;
    Listed& where = listed(targets, candidate);
    (idle ? where.idle : where.hungry) = false;
    if (taken) return candidate.id;
    if (idle) offer(targets, where, candidate);
  }
  return -1;
}

// The engine to serve from this queue, -1 if none wants anything. It no longer stands in the list where it was found.
int Scheduler::pick(Queue& queue) {
  if (queue.entries.front().terms->policy != Policy::least_load && !queue.targets->bound) return draw(queue);
  const int id = take_first(queue, queue.targets->idle, true);
  return id >= 0 ? id : take_first(queue, queue.targets->hungry, false);
}

// How many chunks to hand out.
std::uint64_t Scheduler::portion(const Engine& engine, const Entry& entry) const {
  const Terms& terms = *entry.terms;
  const TargetSet& targets = *terms.targets;
  if (terms.alone || terms.slots != 0) return 1;
  const std::uint64_t left = entry.chunks - entry.chunk;
  const std::uint64_t chunk_items = std::max<std::uint64_t>(1, entry.count / entry.chunks);
  const std::uint64_t by_bytes = terms.item_bytes == 0 ? left : limits_.batch_bytes / (terms.item_bytes * chunk_items);
  const double chunk_time = std::max(1.0, terms.kind->mean * static_cast<double>(chunk_items));
  const bool known = terms.kind->samples != 0;
  if (targets.bound) {
    // Short ones by time, as for everyone; long ones by number.
    const std::uint64_t by_number = limits_.bound_items > engine.items ? (limits_.bound_items - engine.items) / chunk_items : 0;
    const auto by_time = known ? static_cast<std::uint64_t>(stretched(limits_.batch) / chunk_time) : 0;
    return std::max<std::uint64_t>(1, std::min({std::max(by_number, by_time), by_bytes, left}));
  }
  if (!known) return 1;
  const double room = std::min(stretched(limits_.batch), stretched(limits_.in_hand) - time_in_hand(engine).value_or(0));
  const auto by_time = static_cast<std::uint64_t>(std::max(0.0, room) / chunk_time);
  const std::uint64_t share = left / (2 * targets.engines);
  const std::uint64_t trusted = (terms.kind->samples - std::min(terms.kind->samples, items_of(engine, *terms.kind))) / chunk_items;
  const std::uint64_t by_mark = terms.hwm == 0 ? left : (terms.hwm - std::min<std::uint64_t>(terms.hwm, engine.items)) / chunk_items;
  return std::max<std::uint64_t>(1, std::min({by_time, share, by_bytes, trusted, by_mark, left}));
}

// The target set has come to the gang's item. When all have, they are handed out.
void Scheduler::wait_for_gang(Queue& queue, Gang& gang) {
  queue.targets->waits_for_gang = true;
  queue.runnable = false;
  if (++gang.ready < gang.engines.size()) return;
  const std::vector<int> members = gang.engines;  // the gang goes with its last entry
  for (const int id : members) {
    Engine& member = engine(id);
    TargetSet& targets = *rest(member).bound;
    Queue& own = *targets.queues.front();
    const Entry entry = std::move(own.entries.front());
    own.entries.pop_front();
    own.entries.skip_over();  // what was given up meanwhile
    targets.waits_for_gang = false;
    --waiting_;
    ready_.push_back({id, entry.call, entry.first, entry.end()});
    assign(member, entry, entry.first, entry.end());
    offer(member);
    set_runnable(own);
  }
}

bool Scheduler::next(Grant& grant) {
  if (paused_) return false;
  while (ready_.empty() && !runnable_.empty()) {
    const auto [key, top] = runnable_.top();
    Queue& queue = *top;
    if (!queue.runnable || queue.key != key) {
      runnable_.pop();
      --queue.listed;
      drop_if_unused(queue);
      continue;
    }
    const int id = pick(queue);
    if (id < 0) {
      queue.runnable = false;
      if (slotted()) keep_engine(queue);
      continue;
    }
    if (queue.keeps >= 0) release(queue);
    Engine& to = engine(id);
    TargetSet& targets = *queue.targets;
    Entry& entry = queue.entries.front();
    if (entry.gang != nullptr) {
      wait_for_gang(queue, *entry.gang);
      offer(targets, to);
      continue;
    }
    const Duration& kind = *entry.terms->kind;
    turns_.set(std::get<0>(queue.id), queue.turn);
    const std::uint64_t from = entry.chunk;
    entry.chunk += portion(to, entry);
    const std::uint64_t begin = entry.boundary(from);
    const std::uint64_t end = entry.boundary(entry.chunk);
    const double share = entry.terms->slots == 0 ? 1 : static_cast<double>(entry.terms->slots) / engines_.most_slots();
    if (kind.samples != 0) queue.turn += kind.mean * static_cast<double>(end - begin) * share;
    waiting_ -= end - begin;
    const bool whole = entry.terms->in_chunks;
    const bool slow = kind.samples == 0 || kind.mean >= static_cast<double>(limits_.slow);
    for (std::uint64_t chunk = from; chunk < entry.chunk; ++chunk) {
      // Chunks one by one, since none is to be split.
      const std::uint64_t first = entry.boundary(chunk);
      const std::uint64_t last = whole ? entry.boundary(chunk + 1) : end;
      ready_.push_back({id, entry.call, first, last, slow});
      assign(to, entry, first, last);
      if (const auto team = targets.followers.find(id); team != targets.followers.end()) {
        for (const int follower : team->second) {
          ready_.push_back({follower, entry.call, first, last, slow});
          assign(engine(follower), entry, first, last);
        }
      }
      if (!whole) break;
    }
    queue.entries.skip_over();
    if (queue.entries.empty()) {
      queue.runnable = false;
      if (targets.hwm != 0 && targets.empty()) targets.hwm = 0;
    }
    offer(to);
    set_runnable(queue);
    if (turns_.crowded()) forget_turns();
  }
  if (ready_.empty()) return false;
  grant = ready_.front();
  ready_.pop_front();
  return true;
}

void Scheduler::assign(Engine& engine, const Entry& entry, std::uint64_t begin, std::uint64_t end) {
  const bool was_idle = engine.idle();
  engines_.set_used(engine, engine.used + entry.terms->slots);
  engines_.set_items(engine, engine.items + (end - begin));
  engines_.note_granted(engine);
  ++entry.terms->targets->in_hand;
  insert(engine, assignments(engine), {entry.terms, entry.call, begin, end - begin});
  engines_.note_idle(engine, was_idle);
}

// Items [begin, end), which are some of those of an assignment, are no longer the engine's.
void Scheduler::let_go(Engine& engine, std::size_t index, std::uint64_t begin, std::uint64_t end) {
  const bool was_idle = engine.idle();
  const Assignment& part = assignment(engine, index);
  const std::uint16_t slots = part.terms->slots;
  TargetSet& targets = *part.terms->targets;
  const std::uint64_t first = part.first;
  const std::uint64_t last = part.end();
  if (begin == first && end == last) {
    --targets.in_hand;
    engines_.set_used(engine, engine.used - slots);
    erase(engine, index);
  } else if (begin == first) {
    cut(engine, index, end, last);
  } else {
    if (end != last) {
      ++targets.in_hand;
      engines_.set_used(engine, engine.used + slots);
      insert(engine, index + 1, {part.terms, part.call, end, last - end});
    }
    cut(engine, index, first, begin);
  }
  engines_.set_items(engine, engine.items - (end - begin));
  engines_.note_idle(engine, was_idle);
}

void Scheduler::finished(int id, std::uint64_t call, std::uint64_t begin, std::uint64_t end, Nanoseconds busy) {
  Engine& by = engine(id);
  rest(by).backlog.prefetch();
  if (!by.live || begin == end) return;
  const std::uint64_t count = end - begin;
  Duration* kind = nullptr;
  // Mostly it is the first.
  for (std::size_t i = 0; begin != end && i < assignments(by);) {
    const Assignment& part = assignment(by, i);
    if (part.call != call || begin < part.first || begin >= part.end()) {
      ++i;
      continue;
    }
    const std::uint64_t until = std::min(end, part.end());
    kind = part.terms->kind;
    let_go(by, i, begin, until);
    begin = until;
    i = 0;
  }
  by.ended += count;
  by.overdue = false;
  if (kind != nullptr) kind->learn(count, busy);
  offer(by);
}

void Scheduler::suspended(int id, std::uint64_t items) {
  Engine& by = engine(id);
  const bool was_idle = by.idle();
  by.suspended = static_cast<std::uint32_t>(items);
  engines_.note_idle(by, was_idle);
  offer(by);
}

Load Scheduler::load(int id) const {
  const Engine& of = engine(id);
  Load load;
  if (const TargetSet* const bound = rest(of).bound; bound != nullptr) {
    for (const auto& queue : bound->queues) {
      queue->entries.for_each([&load](const Entry& entry) { load.waiting += entry.left(); });
    }
  }
  load.handed_out = of.items;
  load.ended = of.ended;
  return load;
}

}  // namespace rankview::scheduler

// Work that engines run side by side, and how what needs much room comes by it.
namespace rankview::scheduler {

// Whether an engine that has something in hand can begin this beside it.
bool Scheduler::has_room(const Engine& engine, const Terms& terms) const {
  return engine.used != 0 && terms.slots != 0 && engine.used + terms.slots <= engine.slots;
}

// Whether the room that it has, or will have, is another queue's.
bool Scheduler::kept_from(const Engine& engine, const Queue& queue) const {
  const Queue& keeper = *rest(engine).kept_for;
  return &keeper != &queue && queue.priority() <= keeper.priority();
}

// Nobody has room for what comes next in the queue. If that might stay so, since others need less, one engine is handed nothing else from
// here on: the one that will probably have room first.
void Scheduler::keep_engine(Queue& queue) {
  if (queue.keeps >= 0 || queue.targets->waits_for_gang) return;
  const Terms& terms = *queue.entries.front().terms;
  // Whatever ends makes room for the smallest; and what takes all of an engine waits for what takes all of it anyway.
  if ((terms.slots == 0 && engines_.slotted() == 0) || (terms.slots == 1 && engines_.taken_whole() == 0)) return;
  const std::vector<int>& avoids = queue.avoids();
  // One that sits in a task that takes all of it may do so for long.
  const auto better = [](const Engine& a, const Engine& b) {
    const int left_of_a = a.used == 0 ? 0 : a.slots - a.used;
    const int left_of_b = b.used == 0 ? 0 : b.slots - b.used;
    if ((a.used == 0) != (b.used == 0)) return a.used != 0;
    return left_of_a != left_of_b ? left_of_a > left_of_b : a.items < b.items;
  };
  Engine* best = nullptr;
  for (Engine& member : engines_) {
    if (!member.present() || member.kept || member.idle() || !in(*queue.targets, member)) continue;
    if (member.used != 0 ? terms.slots == 1 : terms.slots == 0) continue;
    if (std::find(avoids.begin(), avoids.end(), member.id) != avoids.end()) continue;
    if (best == nullptr || better(member, *best)) best = &member;
  }
  if (best == nullptr) return;
  RANKVIEW_MARK(engine_kept_for_large);
  queue.keeps = best->id;
  best->kept = true;
  rest(*best).kept_for = &queue;
}

// The queue does not need the engine that is kept for it any more.
void Scheduler::release(Queue& queue) {
  if (queue.keeps < 0) return;
  Engine& kept = engine(std::exchange(queue.keeps, -1));
  kept.kept = false;
  rest(kept).kept_for = nullptr;
  offer(kept);
}

}  // namespace rankview::scheduler

#include <unordered_set>

// Engines, and the sets of them that draw from the same queues.
namespace rankview::scheduler {
void Scheduler::add_engine(int id, std::uint16_t slots) {
  Engine& added = engines_.add(id, slots);
  stretch_limits();
  ++target_sets_.everyone().engines;
  offer(added);
  if (TargetSet* const bound = rest(added).bound; bound != nullptr) join(*bound, added);
}

void Scheduler::stretch_limits() { stretch_ = std::max(1.0, static_cast<double>(engines_.live()) / static_cast<double>(limits_.engines)); }

void Scheduler::join(TargetSet& targets, Engine& engine) {
  ++targets.engines;
  engine.joined = true;
  std::vector<Membership>& target_sets = rest(engine).target_sets;
  target_sets.push_back({&targets, {}});
  offer(targets, target_sets.back().listed, engine);
}

bool Scheduler::in(const TargetSet& targets, const Engine& engine) const {
  if (&targets == &target_sets_.everyone()) return engine.live;
  const std::vector<Membership>& target_sets = rest(engine).target_sets;
  return std::any_of(target_sets.begin(), target_sets.end(),
                     [&targets](const Membership& membership) { return membership.targets == &targets; });
}

// The engine must be in the target set.
Listed& Scheduler::listed(const TargetSet& targets, Engine& engine) {
  if (&targets == &target_sets_.everyone()) return engine.listed;
  std::vector<Membership>& target_sets = rest(engine).target_sets;
  return std::find_if(target_sets.begin(), target_sets.end(),
                      [&targets](const Membership& membership) { return membership.targets == &targets; })
      ->listed;
}

TargetSet& Scheduler::target_set_for(const Placement& placement) {
  switch (placement.kind) {
    case Placement::Kind::among:
      return target_set_for(*placement.engines);
    case Placement::Kind::teams:
      return target_set_for(*placement.teams);
    case Placement::Kind::bound:
      return bound_set(placement.engine);
    case Placement::Kind::anyone:
    case Placement::Kind::together:
      break;
  }
  return target_sets_.everyone();
}

TargetSet& Scheduler::bound_set(int id) {
  Engine& only = engine(id);
  TargetSet*& bound = rest(only).bound;
  if (bound == nullptr) {
    bound = &target_sets_.add_bound();
    if (only.live) join(*bound, only);
  }
  return *bound;
}

TargetSet& Scheduler::target_set_for(const std::vector<int>& engines) {
  std::vector<int> sorted = engines;
  std::sort(sorted.begin(), sorted.end());
  if (TargetSet* const known = target_sets_.find(sorted)) return *known;
  if (target_sets_.many()) drop_unused_target_sets();
  TargetSet& targets = target_sets_.add(sorted);
  for (const int id : sorted) {
    if (live(id)) join(targets, engine(id));
  }
  return targets;
}

TargetSet& Scheduler::target_set_for(const std::vector<std::vector<int>>& teams) {
  if (TargetSet* const known = target_sets_.find(teams)) return *known;
  if (target_sets_.many()) drop_unused_target_sets();
  TargetSet& targets = target_sets_.add(teams);
  for (const std::vector<int>& team : teams) {
    if (!std::all_of(team.begin(), team.end(), [this](int id) { return live(id); })) continue;
    Engine& first = engine(team.front());
    targets.followers[first.id] = {team.begin() + 1, team.end()};
    join(targets, first);
  }
  return targets;
}

std::vector<std::unique_ptr<TargetSet>> TargetSets::take_unused() {
  std::unordered_set<const TargetSet*> unused;
  const auto forget = [&unused](auto& known) {
    std::erase_if(known, [&unused](const auto& each) {
      const TargetSet& targets = *each.second;
      const bool is_unused = targets.empty() && targets.in_hand == 0;
      if (is_unused) unused.insert(&targets);
      return is_unused;
    });
  };
  forget(by_engines_);
  forget(by_teams_);
  const auto first = std::stable_partition(all_.begin(), all_.end(), [&unused](const auto& each) { return !unused.contains(each.get()); });
  std::vector<std::unique_ptr<TargetSet>> taken(std::make_move_iterator(first), std::make_move_iterator(all_.end()));
  all_.erase(first, all_.end());
  return taken;
}

void Scheduler::drop_unused_target_sets() {
  last_terms_ = nullptr;
  const auto dropped = target_sets_.take_unused();
  std::unordered_set<const TargetSet*> gone;
  for (const auto& targets : dropped) gone.insert(targets.get());
  for (Engine& member : engines_) {
    if (member.joined) leave(member, [&gone](const TargetSet* targets) { return gone.contains(targets); });
  }
  decltype(runnable_) kept;
  for (; !runnable_.empty(); runnable_.pop()) {
    if (!gone.contains(runnable_.top().second->targets)) kept.push(runnable_.top());
  }
  runnable_ = std::move(kept);
}

}  // namespace rankview::scheduler

namespace rankview::transport {

// MPI counts in int.
inline constexpr std::uint64_t most_at_once = 0x7fffffff;

// A committed MPI datatype of its own.
class Datatype {
 public:
  // One element, as bytes.
  static Datatype element(std::uint64_t bytes);
  // Any number of elements, each `stride` bytes behind the one before.
  static Datatype elements(std::uint64_t count, std::uint64_t bytes, std::uint64_t stride);

  Datatype(Datatype&& other) noexcept;
  Datatype& operator=(Datatype&& other) noexcept;
  ~Datatype();

  [[nodiscard]] MPI_Datatype get() const { return type_; }

 private:
  explicit Datatype(MPI_Datatype type) : type_(type) {}

  MPI_Datatype type_;
};

MPI_Datatype mpi_type(detail::Element element);
MPI_Op mpi_operation(detail::Operation operation);

}  // namespace rankview::transport

namespace rankview::transport {
namespace {

// What MPI_Type_* makes and nobody sends.
class Uncommitted {
 public:
  Uncommitted() = default;
  Uncommitted(const Uncommitted&) = delete;
  Uncommitted& operator=(const Uncommitted&) = delete;
  ~Uncommitted() {
    if (type != MPI_DATATYPE_NULL) MPI_Type_free(&type);
  }
  MPI_Datatype type = MPI_DATATYPE_NULL;
};

MPI_Datatype committed(MPI_Datatype type) {
  check(MPI_Type_commit(&type), "MPI_Type_commit");
  return type;
}

MPI_Datatype bytes_of(std::uint64_t bytes) {
  if (bytes > most_at_once) throw UsageError("an element of " + std::to_string(bytes) + " bytes");
  MPI_Datatype type = MPI_DATATYPE_NULL;
  check(MPI_Type_contiguous(static_cast<int>(bytes), MPI_BYTE, &type), "MPI_Type_contiguous");
  return type;
}

// `count` times `of`, each `stride` bytes behind the one before; `dense`: as they lie.
void repeat(std::uint64_t count, std::uint64_t stride, bool dense, MPI_Datatype of, MPI_Datatype& made) {
  if (dense) {
    check(MPI_Type_contiguous(static_cast<int>(count), of, &made), "MPI_Type_contiguous");
  } else {
    check(MPI_Type_create_hvector(static_cast<int>(count), 1, static_cast<MPI_Aint>(stride), of, &made), "MPI_Type_create_hvector");
  }
}

}  // namespace

Datatype::Datatype(Datatype&& other) noexcept : type_(std::exchange(other.type_, MPI_DATATYPE_NULL)) {}

Datatype& Datatype::operator=(Datatype&& other) noexcept {
  std::swap(type_, other.type_);
  return *this;
}

Datatype::~Datatype() {
  if (type_ != MPI_DATATYPE_NULL) MPI_Type_free(&type_);
}

Datatype Datatype::element(std::uint64_t bytes) { return Datatype(committed(bytes_of(bytes))); }

Datatype Datatype::elements(std::uint64_t count, std::uint64_t bytes, std::uint64_t stride) {
  const bool dense = stride == bytes;
  Uncommitted element;
  element.type = bytes_of(bytes);
  MPI_Datatype made = MPI_DATATYPE_NULL;
  if (count <= most_at_once) {
    repeat(count, stride, dense, element.type, made);
    return Datatype(committed(made));
  }
  // Blocks of 2^30, and the rest.
  constexpr std::uint64_t block = std::uint64_t{1} << 30U;
  const std::uint64_t blocks = count / block;
  Uncommitted one;
  Uncommitted all;
  Uncommitted rest;
  repeat(block, stride, dense, element.type, one.type);
  repeat(blocks, block * stride, false, one.type, all.type);
  repeat(count % block, stride, dense, element.type, rest.type);
  const std::array<int, 2> counts = {1, 1};
  const std::array<MPI_Aint, 2> places = {0, static_cast<MPI_Aint>(blocks * block * stride)};
  const std::array<MPI_Datatype, 2> types = {all.type, rest.type};
  check(MPI_Type_create_struct(2, counts.data(), places.data(), types.data(), &made), "MPI_Type_create_struct");
  return Datatype(committed(made));
}

MPI_Datatype mpi_type(detail::Element element) {
  using enum detail::Element;
  switch (element) {
    case i8:
      return MPI_INT8_T;
    case i16:
      return MPI_INT16_T;
    case i32:
      return MPI_INT32_T;
    case i64:
      return MPI_INT64_T;
    case u8:
      return MPI_UINT8_T;
    case u16:
      return MPI_UINT16_T;
    case u32:
      return MPI_UINT32_T;
    case u64:
      return MPI_UINT64_T;
    case f32:
      return MPI_FLOAT;
    case f64:
      return MPI_DOUBLE;
    case f_long:
      return MPI_LONG_DOUBLE;
    case boolean:
      return MPI_C_BOOL;
  }
  throw UsageError("an element type that MPI does not know");
}

MPI_Op mpi_operation(detail::Operation operation) {
  using enum detail::Operation;
  switch (operation) {
    case sum:
      return MPI_SUM;
    case product:
      return MPI_PROD;
    case minimum:
      return MPI_MIN;
    case maximum:
      return MPI_MAX;
    case logical_and:
      return MPI_LAND;
    case logical_or:
      return MPI_LOR;
    case bit_and:
      return MPI_BAND;
    case bit_or:
      return MPI_BOR;
    case bit_xor:
      return MPI_BXOR;
  }
  throw UsageError("an operation that MPI does not know");
}

}  // namespace rankview::transport

namespace rankview::inline abi_0_1::detail {

std::size_t size_of(Element element) {
  switch (element) {
    case Element::i8:
    case Element::u8:
    case Element::boolean:
      return 1;
    case Element::i16:
    case Element::u16:
      return 2;
    case Element::i32:
    case Element::u32:
    case Element::f32:
      return 4;
    case Element::i64:
    case Element::u64:
    case Element::f64:
      return 8;
    case Element::f_long:
      return sizeof(long double);
  }
  return 0;
}

}  // namespace rankview::detail

#include <initializer_list>

namespace rankview::transport {
namespace {

// Opened at the start: a program may go to another directory, or may not open files any more.
int exit_file = -1;
pid_t whose = 0;

void say(const char* text) {
  if (exit_file < 0 || whose != ::getpid()) return;
  // Whoever reads it makes do without.
  [[maybe_unused]] const auto written = ::write(exit_file, text, std::strlen(text));
}

void at_end(int status, void*) { tell_exit_code(status); }

}  // namespace

void begin_exit_file() {
  const char* const name = std::getenv("RANKVIEW_EXIT_FILE");
  if (name == nullptr || exit_file >= 0) return;
  exit_file = ::open(name, O_WRONLY | O_APPEND | O_CLOEXEC);
  whose = ::getpid();
  say("started");
  ::on_exit(&at_end, nullptr);
}

void begin_exit_file_early() {
  for (const char* const name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK"}) {
    const char* const rank = std::getenv(name);
    if (rank != nullptr && std::strcmp(rank, "0") == 0) return begin_exit_file();
  }
}

void tell_exit_code(int code) {
  char text[24];
  std::snprintf(text, sizeof(text), " %d\n", code);
  say(text);
}

}  // namespace rankview::transport

namespace rankview::transport {

void nap(std::chrono::nanoseconds pause) {
  constexpr unsigned long precise = 1000;  // nanoseconds
  thread_local const int set = prctl(PR_SET_TIMERSLACK, precise, 0, 0, 0);
  static_cast<void>(set);  // where it cannot be set, sleeps are longer and still right
  std::this_thread::sleep_for(pause);
}

namespace {

TimeSource* simulated_time = nullptr;

}  // namespace

std::chrono::steady_clock::time_point steady_now() {
  if (simulated_time == nullptr) return std::chrono::steady_clock::now();
  return Clock(*simulated_time).steady_now();
}

void set_time_source(TimeSource* source) { simulated_time = source; }

}  // namespace rankview::transport

namespace rankview::transport {
namespace {

class Arrived final : public Transfer {
 public:
  bool done() override { return true; }
};

}  // namespace

std::pair<std::unique_ptr<LocalEndpoint>, std::unique_ptr<LocalEndpoint>> LocalEndpoint::pair() {
  auto down = std::make_shared<Pipe>();
  auto up = std::make_shared<Pipe>();
  auto meetings = std::make_shared<Meetings>();
  return {std::unique_ptr<LocalEndpoint>(new LocalEndpoint(up, down, meetings, 1)),
          std::unique_ptr<LocalEndpoint>(new LocalEndpoint(down, up, meetings, 0))};
}

void LocalEndpoint::send(int, Message&& message) {
  {
    const std::lock_guard lock(out_->mutex);
    out_->messages.push_back(std::move(message));
  }
  out_->filled.notify_one();
}

bool LocalEndpoint::poll(FrameHandler& handler) {
  std::deque<Message> messages;
  {
    const std::lock_guard lock(in_->mutex);
    messages.swap(in_->messages);
  }
  for (Message& message : messages) {
    std::vector<std::uint64_t> sizes;
    for (const Attachment& attachment : message.attachments) sizes.push_back(attachment.size);
    Frame frame;
    frame.peer = peer_;
    frame.records = message.bytes.bytes().subspan(sizeof(FrameHeader));
    frame.attachment_sizes = sizes;
    frame.local = &message;
    handler.on_frame(frame);
    note_sent(message);
  }
  return !messages.empty();
}

std::unique_ptr<Transfer> LocalEndpoint::receive(const Frame& frame, const std::vector<Claims::Place>& places) {
  for (std::size_t i = 0; i < places.size(); ++i) std::memcpy(places[i].data, frame.local->attachments[i].data, places[i].size);
  return std::make_unique<Arrived>();
}

// There is nobody to wait for: who comes second finds what the first has left.
std::unique_ptr<Team> LocalEndpoint::assemble(std::uint64_t number, const std::vector<int>&) {
  const std::lock_guard lock(meetings_->mutex);
  std::shared_ptr<LocalTeam::Meeting>& left = meetings_->open[number];
  const bool first = left == nullptr;
  if (first) left = LocalTeam::meeting();
  auto team = std::make_unique<LocalTeam>(left, peer_ == 1 ? 0 : 1);
  if (!first) meetings_->open.erase(number);
  return team;
}

// A thread of this process can be told, so it need not look: it spins as others do, and then sleeps until the next message.
bool LocalEndpoint::doze(Idle& idle) {
  if (idle.pause().count() == 0) {
    std::this_thread::yield();
    return false;
  }
  std::unique_lock lock(in_->mutex);
  in_->filled.wait(lock, [this] { return !in_->messages.empty(); });
  return true;
}

}  // namespace rankview::transport

#include <boost/mpi/communicator.hpp>

namespace rankview::transport {

class LocalTeam::Meeting {
 public:
  struct Exchange {
    const void* from = nullptr;
    void* to = nullptr;
    std::uint64_t bytes = 0;
    bool half = false;  // one of the two was there
    std::atomic<bool> done{false};
  };

  // Adds one side of exchange `number`; copies if the other is there.
  template <class Side>
  std::shared_ptr<Exchange> meet(std::uint64_t number, Side side) {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<Exchange>& found = open_[number];
    if (found == nullptr) found = std::make_shared<Exchange>();
    std::shared_ptr<Exchange> exchange = found;
    side(*exchange);
    if (std::exchange(exchange->half, true)) {
      if (exchange->bytes != 0) std::memcpy(exchange->to, exchange->from, exchange->bytes);
      exchange->done.store(true, std::memory_order_release);
      open_.erase(number);
    }
    return exchange;
  }

 private:
  std::mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<Exchange>> open_;
};

namespace {

class Met final : public Transfer {
 public:
  template <class Exchange>
  explicit Met(const std::shared_ptr<Exchange>& exchange) : done_(exchange, &exchange->done) {}
  bool done() override { return done_->load(std::memory_order_acquire); }

 private:
  std::shared_ptr<std::atomic<bool>> done_;
};

// What takes only one.
class Over final : public Transfer {
 public:
  bool done() override { return true; }
};

Team::Begun copied(const std::byte* from, std::byte* to, std::uint64_t bytes) {
  if (from != to && bytes != 0) std::memcpy(to, from, bytes);
  return std::make_unique<Over>();
}

}  // namespace

std::shared_ptr<LocalTeam::Meeting> LocalTeam::meeting() { return std::make_shared<Meeting>(); }

LocalTeam::LocalTeam(std::shared_ptr<Meeting> meeting, int member) : meeting_(std::move(meeting)), member_(member) {}
LocalTeam::~LocalTeam() = default;

Team::Begun LocalTeam::give(const void* from, std::uint64_t bytes) {
  return std::make_unique<Met>(meeting_->meet(next_++, [=](Meeting::Exchange& exchange) {
    exchange.from = from;
    exchange.bytes = bytes;
  }));
}

Team::Begun LocalTeam::take(void* to) {
  return std::make_unique<Met>(meeting_->meet(next_++, [to](Meeting::Exchange& exchange) { exchange.to = to; }));
}

Team::Begun LocalTeam::gather_votes(const Vote& own, std::span<Vote> all) {
  return member_ == 0 ? take(&all[1]) : give(&own, sizeof(Vote));
}
Team::Begun LocalTeam::announce(Verdict& verdict) { return member_ == 0 ? give(&verdict, sizeof(Verdict)) : take(&verdict); }
Team::Begun LocalTeam::broadcast(std::byte* data, std::uint64_t bytes) { return member_ == 0 ? give(data, bytes) : take(data); }
Team::Begun LocalTeam::scatter(const std::byte* from, std::byte* to, const Deal& deal) {
  return member_ == 0 ? give(from, deal.total * deal.element_bytes) : take(to);
}
Team::Begun LocalTeam::gather(const std::byte* from, std::byte* to, std::uint64_t own, std::span<const std::uint64_t>, const Deal& deal) {
  return member_ == 0 ? take(to) : give(from, own * deal.element_bytes);
}
// Of one contribution.
Team::Begun LocalTeam::reduce(std::byte* data, std::uint64_t count, Element element, Operation) {
  return member_ == 0 ? take(data) : give(data, count * detail::size_of(element));
}

Team::Begun LocalTeam::barrier() { return std::make_unique<Over>(); }
Team::Begun LocalTeam::allreduce(const std::byte* from, std::byte* to, std::uint64_t count, Element element, Operation) {
  return copied(from, to, count * detail::size_of(element));
}
Team::Begun LocalTeam::allgather_counts(const std::uint64_t& own, std::span<std::uint64_t> counts) {
  counts[0] = own;
  return std::make_unique<Over>();
}
Team::Begun LocalTeam::allgather(const std::byte* from, std::byte* to, std::size_t, std::span<const std::uint64_t> counts,
                                 std::uint64_t element_bytes) {
  return copied(from, to, counts[0] * element_bytes);
}
Team::Begun LocalTeam::share(std::byte*, std::uint64_t, std::size_t) { return std::make_unique<Over>(); }
Team::Begun LocalTeam::send(std::size_t, std::span<const std::byte>) { throw UsageError("a team of one engine has nobody to send to"); }
Team::Begun LocalTeam::receive(std::size_t, Buffer&) { throw UsageError("a team of one engine has nobody to receive from"); }

Team::Begun LocalTeam::count_ill(std::int64_t&) { return std::make_unique<Over>(); }

void LocalTeam::drop_communicator() {
  attached_.reset();
  own_ = Communicator();
}

void LocalTeam::make_communicator() {
  if (thread_level() < ThreadLevel::serialized)
    throw UsageError(
        "with one rank the engine is a thread, and a callable that wants a communicator needs MPI_THREAD_SERIALIZED or more; MPI runs "
        "with " +
        std::string(to_string(thread_level())));
  own_ = Communicator::duplicate(MPI_COMM_SELF);
  attached_ = std::make_unique<const boost::mpi::communicator>(own_.get(), boost::mpi::comm_attach);
}

}  // namespace rankview::transport

namespace rankview::transport {
namespace {

// The name MPI knows this host by may carry a domain, or be cut; the system's is what users know.
std::string host_name() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  return name.data();
}

std::uint64_t boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string text;
  file >> text;
  // A kernel that does not tell: hosts with different names are taken for different.
  return std::hash<std::string>()(text.empty() ? host_name() : text);
}

}  // namespace

void throw_mpi_error(int code, const char* call) {
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  if (MPI_Error_string(code, text.data(), &length) != MPI_SUCCESS) length = 0;
  throw MpiError(std::string(call) + " failed: " + std::string(text.data(), static_cast<std::size_t>(length)));
}

Communicator Communicator::duplicate(MPI_Comm parent) {
  MPI_Comm comm = MPI_COMM_NULL;
  check(MPI_Comm_dup(parent, &comm), "MPI_Comm_dup");
  Communicator made(comm);
  check(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  return made;
}

Communicator Communicator::among(MPI_Comm parent, const std::vector<int>& ranks, int tag) {
  MPI_Group all = MPI_GROUP_NULL;
  MPI_Group some = MPI_GROUP_NULL;
  MPI_Comm comm = MPI_COMM_NULL;
  check(MPI_Comm_group(parent, &all), "MPI_Comm_group");
  check(MPI_Group_incl(all, static_cast<int>(ranks.size()), ranks.data(), &some), "MPI_Group_incl");
  check(MPI_Comm_create_group(parent, some, tag, &comm), "MPI_Comm_create_group");
  Communicator made(comm);
  check(MPI_Group_free(&some), "MPI_Group_free");
  check(MPI_Group_free(&all), "MPI_Group_free");
  check(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  return made;
}

Communicator::Communicator(Communicator&& other) noexcept : comm_(std::exchange(other.comm_, MPI_COMM_NULL)) {}

Communicator& Communicator::operator=(Communicator&& other) noexcept {
  std::swap(comm_, other.comm_);
  return *this;
}

Communicator::~Communicator() {
  int finalised = 0;
  if (comm_ != MPI_COMM_NULL && MPI_Finalized(&finalised) == MPI_SUCCESS && finalised == 0) MPI_Comm_free(&comm_);
}

int Communicator::rank() const {
  int rank = 0;
  check(MPI_Comm_rank(comm_, &rank), "MPI_Comm_rank");
  return rank;
}

int Communicator::size() const {
  int size = 0;
  check(MPI_Comm_size(comm_, &size), "MPI_Comm_size");
  return size;
}

Identity identify(std::uint64_t executable, std::int64_t clock_anchor) {
  Identity own;
  own.executable = executable;
  own.clock_anchor = clock_anchor;
  own.boot = boot_id();
  own.pid = getpid();
  struct stat numbers = {};
  if (stat("/proc/self/ns/pid", &numbers) == 0) own.processes = numbers.st_ino;
  const std::string host = host_name();
  std::memcpy(own.host, host.data(), std::min(host.size(), sizeof(own.host) - 1));
  return own;
}

std::vector<Identity> exchange(const Communicator& comm, const Identity& own) {
  std::vector<Identity> all(static_cast<std::size_t>(comm.size()));
  check(MPI_Allgather(&own, sizeof(Identity), MPI_BYTE, all.data(), sizeof(Identity), MPI_BYTE, comm.get()), "MPI_Allgather");
  return all;
}

void broadcast(const Communicator& comm, void* bytes, std::size_t size) {
  check(MPI_Bcast(bytes, static_cast<int>(size), MPI_BYTE, 0, comm.get()), "MPI_Bcast");
}

bool mpi_running() {
  int initialised = 0;
  check(MPI_Initialized(&initialised), "MPI_Initialized");
  return initialised != 0 && !mpi_finalised();
}

bool mpi_finalised() {
  int finalised = 0;
  check(MPI_Finalized(&finalised), "MPI_Finalized");
  return finalised != 0;
}

void initialise(int& argc, char**& argv) {
  int provided = MPI_THREAD_SINGLE;
  check(MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided), "MPI_Init_thread");
}

void finalise() { check(MPI_Finalize(), "MPI_Finalize"); }

ThreadLevel thread_level() {
  int level = MPI_THREAD_SINGLE;
  check(MPI_Query_thread(&level), "MPI_Query_thread");
  switch (level) {
    case MPI_THREAD_MULTIPLE:
      return ThreadLevel::multiple;
    case MPI_THREAD_SERIALIZED:
      return ThreadLevel::serialized;
    case MPI_THREAD_FUNNELED:
      return ThreadLevel::funneled;
    default:
      return ThreadLevel::single;
  }
}

const char* to_string(ThreadLevel level) {
  switch (level) {
    case ThreadLevel::single:
      return "MPI_THREAD_SINGLE";
    case ThreadLevel::funneled:
      return "MPI_THREAD_FUNNELED";
    case ThreadLevel::serialized:
      return "MPI_THREAD_SERIALIZED";
    case ThreadLevel::multiple:
      return "MPI_THREAD_MULTIPLE";
  }
  return "an unknown thread level";
}

bool is_main_thread() {
  int main = 0;
  check(MPI_Is_thread_main(&main), "MPI_Is_thread_main");
  return main != 0;
}

}  // namespace rankview::transport

namespace rankview::transport {
namespace {

std::mutex asking;
// What the thread that is asked tells.
std::array<void*, 128> frames;
std::atomic<int> frame_count{0};

void tell_frames(int) {
  const int kept = errno;
  frame_count.store(backtrace(frames.data(), static_cast<int>(frames.size())), std::memory_order_release);
  errno = kept;
}

// MPI polls; what is in a system call sleeps.
bool on_processor(pid_t thread) {
  std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
  std::string line;
  std::getline(file, line);
  const std::size_t name_end = line.rfind(')');
  return name_end != std::string::npos && line.substr(name_end, 3) == ") R";
}

// How many frames it has told of.
int ask(pid_t thread) {
  struct sigaction before {};
  if (sigaction(SIGURG, nullptr, &before) != 0 || before.sa_handler != SIG_DFL) return 0;
  struct sigaction asked {};
  asked.sa_handler = tell_frames;
  asked.sa_flags = SA_RESTART;
  frame_count.store(0, std::memory_order_relaxed);
  if (sigaction(SIGURG, &asked, nullptr) != 0) return 0;
  int count = 0;
  if (tgkill(getpid(), thread, SIGURG) == 0) {
    for (int i = 0; i < 1000 && count == 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      count = frame_count.load(std::memory_order_acquire);
    }
  }
  // A signal that comes later is ignored.
  sigaction(SIGURG, &before, nullptr);
  return count;
}

bool looks_only(std::string_view function) {
  return function.starts_with("MPI_Test") || function.starts_with("MPI_Start") || function.starts_with("MPI_Iprobe");
}

}  // namespace

std::string mpi_call_of(pid_t thread) {
  const std::lock_guard guard(asking);
  // The first time it loads what it needs, which a signal handler may not.
  backtrace(frames.data(), 1);
  if (!on_processor(thread)) return "";
  for (int i = ask(thread) - 1; i >= 0; --i) {
    Dl_info info{};
    if (dladdr(frames[static_cast<std::size_t>(i)], &info) == 0 || info.dli_sname == nullptr) continue;
    std::string_view function = info.dli_sname;
    if (function.starts_with("PMPI_")) function.remove_prefix(1);
    if (function.starts_with("MPI_")) return looks_only(function) ? "" : std::string(function);
  }
  return "";
}

}  // namespace rankview::transport

namespace rankview::transport {

// A team as two communicators: one with rank 0, for data, and one of the engines alone, with a duplicate for callables. Everything is an
// MPI collective in its non-blocking form.
class MpiTeam final : public Team {
 public:
  // Collective over rank 0 of `parent` and `engines`, its ranks. Uses `tag` on `parent`.
  MpiTeam(const Communicator& parent, const std::vector<int>& engines, int tag);
  ~MpiTeam() override;

  [[nodiscard]] int member() const override { return member_; }
  [[nodiscard]] int members() const override { return members_; }

  Begun gather_votes(const Vote& own, std::span<Vote> all) override;
  Begun announce(Verdict& verdict) override;
  Begun broadcast(std::byte* data, std::uint64_t bytes) override;
  Begun scatter(const std::byte* from, std::byte* to, const Deal& deal) override;
  Begun gather(const std::byte* from, std::byte* to, std::uint64_t own, std::span<const std::uint64_t> counts, const Deal& deal) override;
  Begun reduce(std::byte* data, std::uint64_t count, Element element, Operation operation) override;

  Begun barrier() override;
  Begun allreduce(const std::byte* from, std::byte* to, std::uint64_t count, Element element, Operation operation) override;
  Begun allgather_counts(const std::uint64_t& own, std::span<std::uint64_t> counts) override;
  Begun allgather(const std::byte* from, std::byte* to, std::size_t place, std::span<const std::uint64_t> counts,
                  std::uint64_t element_bytes) override;
  Begun share(std::byte* data, std::uint64_t bytes, std::size_t source) override;
  Begun send(std::size_t to, std::span<const std::byte> bytes) override;
  Begun receive(std::size_t from, Buffer& into) override;

  Begun count_ill(std::int64_t& ill) override;
  void make_communicator() override;
  void drop_communicator() override;
  [[nodiscard]] bool has_communicator() const override { return attached_ != nullptr; }
  const boost::mpi::communicator& communicator() override { return *attached_; }

 private:
  class Requests;

  static void begin_broadcast(std::byte* data, std::uint64_t bytes, int root, MPI_Comm comm, Requests& requests);
  void begin_exchange(std::byte* data, bool sends, std::uint64_t own, std::span<const std::uint64_t> counts, const Deal& deal,
                      Requests& requests);

  Communicator with_root_;
  Communicator engines_;        // none on rank 0
  Communicator dropped_;        // the last one that was given up; until there is another, so that this does not get its context
  Communicator for_callables_;  // a duplicate of those, made when first wanted
  std::unique_ptr<const boost::mpi::communicator> attached_;
  int member_;
  int members_;
};

}  // namespace rankview::transport

namespace rankview::transport {
namespace {

constexpr int packet_tag = 0;
constexpr std::uint32_t first_body_tag = 1;
// Larger buffers go back to the system.
constexpr std::size_t largest_recycled = 256 * 1024;

template <class Call>
void in_pieces(std::size_t size, Call call) {
  for (std::size_t done = 0; done < size; done += piece_bytes) call(done, static_cast<int>(std::min(piece_bytes, size - done)));
}

void isend(const std::byte* data, std::size_t size, int peer, std::uint32_t tag, MPI_Comm comm, std::vector<MPI_Request>& requests) {
  in_pieces(size, [&](std::size_t at, int count) {
    MPI_Request request = MPI_REQUEST_NULL;
    check(MPI_Isend(data + at, count, MPI_BYTE, peer, static_cast<int>(tag), comm, &request), "MPI_Isend");
    requests.push_back(request);
  });
}

void irecv(std::byte* data, std::size_t size, int peer, std::uint32_t tag, MPI_Comm comm, std::vector<MPI_Request>& requests) {
  in_pieces(size, [&](std::size_t at, int count) {
    MPI_Request request = MPI_REQUEST_NULL;
    check(MPI_Irecv(data + at, count, MPI_BYTE, peer, static_cast<int>(tag), comm, &request), "MPI_Irecv");
    requests.push_back(request);
  });
}

bool test_all(std::vector<MPI_Request>& requests) {
  int done = 1;
  if (!requests.empty()) check(MPI_Testall(static_cast<int>(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE), "MPI_Testall");
  return done != 0;
}

// Gives requests up: receives are cancelled, sends are left to MPI.
void give_up(std::vector<MPI_Request>& requests, bool receives) {
  for (MPI_Request& request : requests) {
    if (request == MPI_REQUEST_NULL) continue;
    if (receives) MPI_Cancel(&request);
    MPI_Request_free(&request);
  }
}

class MpiTransfer final : public Transfer {
 public:
  MpiTransfer() = default;
  MpiTransfer(const MpiTransfer&) = delete;
  MpiTransfer& operator=(const MpiTransfer&) = delete;
  ~MpiTransfer() override { give_up(requests, true); }

  bool done() override { return test_all(requests); }

  std::vector<MPI_Request> requests;
  std::vector<Buffer> unwanted;
};

// A team that a thread of its own makes, which is in MPI for ever if one of the team dies meanwhile.
class InThread final : public Assembly {
 public:
  explicit InThread(std::function<std::unique_ptr<Team>()> make) {
    liveness::quiet_thread([state = state_, make = std::move(make)] {
      try {
        state->team = make();
      } catch (...) {
        state->error = detail::caught();
      }
      state->done.store(true, std::memory_order_release);
    }).detach();
  }

  bool done() override {
    if (!state_->done.load(std::memory_order_acquire)) return false;
    if (state_->error) std::rethrow_exception(state_->error);
    return true;
  }
  std::unique_ptr<Team> take() override { return std::move(state_->team); }

 private:
  struct State {
    std::atomic<bool> done{false};
    std::unique_ptr<Team> team;
    std::exception_ptr error;
  };

  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace

MpiEndpoint::MpiEndpoint(MPI_Comm comm, const Communicator& teams) : comm_(comm), teams_(teams), next_tag_(first_body_tag) {
  void* limit = nullptr;
  int found = 0;
  check(MPI_Comm_get_attr(comm_, MPI_TAG_UB, &limit, &found), "MPI_Comm_get_attr");
  if (found != 0) highest_tag_ = static_cast<std::uint32_t>(*static_cast<int*>(limit));
  for (std::size_t i = 0; i < slot_count; ++i) {
    check(MPI_Recv_init(slots_[i].data(), static_cast<int>(slot_bytes), MPI_BYTE, MPI_ANY_SOURCE, packet_tag, comm_, &slot_requests_[i]),
          "MPI_Recv_init");
    check(MPI_Start(&slot_requests_[i]), "MPI_Start");
  }
}

MpiEndpoint::~MpiEndpoint() {
  for (MPI_Request& request : slot_requests_) {
    MPI_Cancel(&request);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    MPI_Request_free(&request);
  }
  for (Sending& sending : sending_) give_up(sending.requests, false);
  for (Arriving& arriving : arriving_) give_up(arriving.requests, true);
}

std::uint32_t MpiEndpoint::take_tags(std::size_t count) {
  // By the time tags come round again, their first users are long done.
  if (count > highest_tag_ - next_tag_) next_tag_ = first_body_tag;
  const std::uint32_t tag = next_tag_;
  next_tag_ += static_cast<std::uint32_t>(count);
  return tag;
}

Message MpiEndpoint::message() {
  if (free_buffers_.empty()) return {};
  Message message(std::move(free_buffers_.back()));
  free_buffers_.pop_back();
  return message;
}

void MpiEndpoint::recycle(Buffer&& buffer) {
  if (buffer.capacity() <= largest_recycled && free_buffers_.size() < 64) free_buffers_.push_back(std::move(buffer));
}

void MpiEndpoint::send(int peer, Message&& message) {
  for (const Attachment& attachment : message.attachments) message.value(static_cast<std::uint64_t>(attachment.size));
  FrameHeader header;
  header.size = message.size();
  header.attachments = static_cast<std::uint32_t>(message.attachments.size());
  if (forgotten(peer)) return note_sent(message);
  const bool whole = message.bytes.size() <= slot_bytes;
  if (!whole || header.attachments != 0) header.tag = take_tags(1 + message.attachments.size());
  std::memcpy(message.bytes.data(), &header, sizeof(header));

  MPI_Request request = MPI_REQUEST_NULL;
  const std::size_t packet = whole ? message.bytes.size() : sizeof(header);
  check(MPI_Isend(message.bytes.data(), static_cast<int>(packet), MPI_BYTE, peer, packet_tag, comm_, &request), "MPI_Isend");
  if (whole && header.attachments == 0) {
    int done = 0;
    check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test");
    if (done != 0) {
      recycle(std::move(message.bytes));
      return;
    }
  }
  Sending sending;
  sending.peer = peer;
  sending.requests.push_back(request);
  sending.message = std::move(message);
  Message& sent = sending.message;
  if (!whole) isend(sent.bytes.data() + sizeof(header), sent.size(), peer, header.tag, comm_, sending.requests);
  for (std::size_t i = 0; i < sent.attachments.size(); ++i)
    isend(sent.attachments[i].data, sent.attachments[i].size, peer, header.tag + 1 + static_cast<std::uint32_t>(i), comm_,
          sending.requests);
  sending_.push_back(std::move(sending));
}

bool MpiEndpoint::poll(FrameHandler& handler) {
  bool any = poll_slot(handler);
  if (!arriving_.empty()) any = poll_arriving(handler) || any;
  if (!sending_.empty()) any = poll_sending() || any;
  return any;
}

// One message at most: looking for a second one costs more than taking it, and whoever got the first wants to get on. For the same reason
// its slot is posted again only by the next look.
bool MpiEndpoint::poll_slot(FrameHandler& handler) {
  if (std::exchange(slot_taken_, false)) check(MPI_Start(&slot_requests_[(slot_ + slot_count - 1) % slot_count]), "MPI_Start");
  int done = 0;
  MPI_Status status;
  check(MPI_Test(&slot_requests_[slot_], &done, &status), "MPI_Test");
  if (done == 0) return false;
  int count = 0;
  check(MPI_Get_count(&status, MPI_BYTE, &count), "MPI_Get_count");
  const std::span<const std::byte> packet(slots_[slot_].data(), static_cast<std::size_t>(count));
  slot_ = (slot_ + 1) % slot_count;
  slot_taken_ = true;
  on_packet(handler, status.MPI_SOURCE, packet);
  return true;
}

void MpiEndpoint::on_packet(FrameHandler& handler, int peer, std::span<const std::byte> packet) {
  if (forgotten(peer)) return;
  if (packet.size() < sizeof(FrameHeader))
    throw DecodeError("a message of " + std::to_string(packet.size()) + " bytes from rank " + std::to_string(peer));
  FrameHeader header;
  std::memcpy(&header, packet.data(), sizeof(header));
  const auto body = packet.subspan(sizeof(header));
  const bool whole = body.size() == header.size;
  const bool waits = !whole || std::any_of(arriving_.begin(), arriving_.end(), [peer](const Arriving& a) { return a.peer == peer; });
  if (!waits) {
    deliver(handler, peer, header, body, nullptr);
    return;
  }
  Arriving arriving{peer, header, {}, {}};
  arriving.body.reserve(header.size);
  std::byte* const to = arriving.body.extend(header.size);
  if (whole) {
    std::memcpy(to, body.data(), body.size());
  } else {
    irecv(to, header.size, peer, header.tag, comm_, arriving.requests);
  }
  arriving_.push_back(std::move(arriving));
}

bool MpiEndpoint::poll_arriving(FrameHandler& handler) {
  bool any = false;
  std::vector<int> blocked;  // peers that an earlier frame of theirs holds up
  for (std::size_t i = 0; i < arriving_.size();) {
    Arriving& first = arriving_[i];
    if (std::find(blocked.begin(), blocked.end(), first.peer) == blocked.end() && test_all(first.requests)) {
      Arriving arrived = std::move(first);
      arriving_.erase(arriving_.begin() + static_cast<std::ptrdiff_t>(i));
      deliver(handler, arrived.peer, arrived.header, arrived.body.bytes(), &arrived.body);
      recycle(std::move(arrived.body));
      any = true;
    } else {
      blocked.push_back(first.peer);
      ++i;
    }
  }
  return any;
}

void MpiEndpoint::deliver(FrameHandler& handler, int peer, const FrameHeader& header, std::span<const std::byte> body, Buffer* owned) {
  const std::size_t sizes_bytes = header.attachments * sizeof(std::uint64_t);
  if (sizes_bytes > body.size())
    throw DecodeError("a message from rank " + std::to_string(peer) + " announces more attachments than it has bytes");
  std::vector<std::uint64_t> sizes(header.attachments);
  if (sizes_bytes != 0) std::memcpy(sizes.data(), body.data() + body.size() - sizes_bytes, sizes_bytes);
  Frame frame;
  frame.peer = peer;
  frame.records = body.first(body.size() - sizes_bytes);
  frame.attachment_sizes = sizes;
  frame.owned = owned;
  frame.tag = header.tag;
  handler.on_frame(frame);
}

void MpiEndpoint::forget(int peer) {
  if (forgotten(peer)) return;
  forgotten_.push_back(peer);
  const auto move_out = [peer](auto& from, auto& to, bool receives) {
    for (auto& each : from) {
      if (each.peer != peer) continue;
      give_up(each.requests, receives);
      each.requests.clear();
      to.push_back(std::move(each));
    }
    std::erase_if(from, [peer](const auto& each) { return each.peer == peer; });
  };
  move_out(sending_, never_sent_, false);
  move_out(arriving_, never_arrived_, true);
}

bool MpiEndpoint::poll_sending() {
  bool any = false;
  // Those that a peer holds up move to the back.
  for (std::size_t i = 0, most = std::min<std::size_t>(4, sending_.size()); i < most; ++i) {
    Sending first = std::move(sending_.front());
    sending_.pop_front();
    if (test_all(first.requests)) {
      note_sent(first.message);
      recycle(std::move(first.message.bytes));
      any = true;
    } else {
      sending_.push_back(std::move(first));
    }
  }
  return any;
}

std::unique_ptr<Team> MpiEndpoint::assemble(std::uint64_t turn, const std::vector<int>& engines) {
  // Of those that a process makes, Open MPI goes on with the one that has the lowest tag alone. So later ones have lower tags: one that was
  // given up keeps none from being made.
  const std::uint32_t tags = std::min(highest_tag_, std::uint32_t{1} << 20U);
  return std::make_unique<MpiTeam>(teams_, engines, static_cast<int>(tags - turn % tags));
}

std::unique_ptr<Assembly> MpiEndpoint::begin_assembly(std::uint64_t turn, const std::vector<int>& engines) {
  if (thread_level() != ThreadLevel::multiple) return Endpoint::begin_assembly(turn, engines);
  return std::make_unique<InThread>([this, turn, engines] { return assemble(turn, engines); });
}

std::unique_ptr<Transfer> MpiEndpoint::receive(const Frame& frame, const std::vector<Claims::Place>& places) {
  auto transfer = std::make_unique<MpiTransfer>();
  for (std::size_t i = 0; i < frame.attachment_sizes.size(); ++i) {
    const std::uint32_t tag = frame.tag + 1 + static_cast<std::uint32_t>(i);
    const std::size_t size = frame.attachment_sizes[i];
    if (i < places.size()) {
      irecv(places[i].data, size, frame.peer, tag, comm_, transfer->requests);
      continue;
    }
    Buffer& sink = transfer->unwanted.emplace_back();
    irecv(sink.extend(size), size, frame.peer, tag, comm_, transfer->requests);
  }
  return transfer;
}

}  // namespace rankview::transport

namespace rankview::transport {
namespace {

constexpr int fold_tag = 1;
constexpr int part_tag = 2;

// MPI takes the data of what is only sent as const in some calls and not in others.
template <class T>
T* writable(const T* data) {
  return const_cast<T*>(data);
}

}  // namespace

// Requests, and what MPI looks at until they are done.
class MpiTeam::Requests final : public Transfer {
 public:
  bool done() override {
    int all = 1;
    check(MPI_Testall(static_cast<int>(requests.size()), requests.data(), &all, MPI_STATUSES_IGNORE), "MPI_Testall");
    return all != 0;
  }
  MPI_Request* next() { return &requests.emplace_back(MPI_REQUEST_NULL); }

  // What parts of an array are counted in: bytes where an int can count those of all, elements otherwise. Two ranks need not agree.
  struct Unit {
    MPI_Datatype type;
    std::uint64_t in_element;

    [[nodiscard]] int count(std::uint64_t elements) const { return static_cast<int>(elements * in_element); }
  };
  Unit unit(std::uint64_t total, std::uint64_t element_bytes) {
    if (element_bytes == 0 || total <= most_at_once / element_bytes) return {MPI_BYTE, element_bytes};
    types.push_back(Datatype::element(element_bytes));
    return {types.back().get(), 1};
  }

  std::vector<MPI_Request> requests;
  std::vector<Datatype> types;
  std::vector<int> counts, offsets;
  std::uint64_t size = 0;
};

void MpiTeam::begin_broadcast(std::byte* data, std::uint64_t bytes, int root, MPI_Comm comm, Requests& requests) {
  if (bytes <= most_at_once) {
    check(MPI_Ibcast(data, static_cast<int>(bytes), MPI_BYTE, root, comm, requests.next()), "MPI_Ibcast");
    return;
  }
  requests.types.push_back(Datatype::elements(bytes, 1, 1));
  check(MPI_Ibcast(data, 1, requests.types.back().get(), root, comm, requests.next()), "MPI_Ibcast");
}

namespace {

// A long reduction as short ones, two at a time. MPI_Ireduce does not pipeline, and what fits the cache is added up several times faster
// (measured here: 80 MB from two engines in 36 ms, where one MPI_Reduce takes 85).
class Segments final : public Transfer {
 public:
  using Begin = std::function<void(std::uint64_t first, int count, MPI_Request* request)>;

  Segments(std::uint64_t count, std::uint64_t element_bytes, Begin begin)
      : count_(count), segment_(segment_bytes / element_bytes), begin_(std::move(begin)) {
    for (MPI_Request& request : requests_) next(request);
  }

  bool done() override {
    for (;;) {
      MPI_Request& oldest = requests_[oldest_];
      if (oldest == MPI_REQUEST_NULL) return true;
      int over = 0;
      check(MPI_Test(&oldest, &over, MPI_STATUS_IGNORE), "MPI_Test");
      if (over == 0) return false;
      next(oldest);
      oldest_ = 1 - oldest_;
    }
  }

 private:
  static constexpr std::uint64_t segment_bytes = 256 * 1024;

  void next(MPI_Request& request) {
    request = MPI_REQUEST_NULL;
    if (begun_ == count_) return;
    const std::uint64_t size = std::min(segment_, count_ - begun_);
    begin_(begun_, static_cast<int>(size), &request);
    begun_ += size;
  }

  std::uint64_t count_;
  std::uint64_t segment_;
  std::uint64_t begun_ = 0;
  Begin begin_;
  std::array<MPI_Request, 2> requests_{};
  std::size_t oldest_ = 0;
};

// Bytes of unknown number from another engine: first how many, then these.
class Arrival final : public Transfer {
 public:
  Arrival(int from, Buffer& into, MPI_Comm comm) : from_(from), into_(into), comm_(comm) {
    requests_.resize(1);
    check(MPI_Irecv(&size_, 1, MPI_UINT64_T, from_, fold_tag, comm_, requests_.data()), "MPI_Irecv");
  }
  Arrival(const Arrival&) = delete;
  Arrival& operator=(const Arrival&) = delete;

  bool done() override {
    int all = 1;
    check(MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &all, MPI_STATUSES_IGNORE), "MPI_Testall");
    if (all == 0 || sized_) return all != 0;
    sized_ = true;
    requests_.clear();
    std::byte* const to = into_.extend(size_);
    for (std::uint64_t at = 0; at < size_; at += piece_bytes) {
      requests_.push_back(MPI_REQUEST_NULL);
      check(MPI_Irecv(to + at, static_cast<int>(std::min<std::uint64_t>(piece_bytes, size_ - at)), MPI_BYTE, from_, fold_tag, comm_,
                      &requests_.back()),
            "MPI_Irecv");
    }
    return done();
  }

 private:
  int from_;
  Buffer& into_;
  MPI_Comm comm_;
  std::uint64_t size_ = 0;
  bool sized_ = false;
  std::vector<MPI_Request> requests_;
};

// Whether the parts can be told in ints from one address. If not, each goes with a datatype that knows where it is.
bool plain(const Deal& deal) { return deal.dist == Distribution::block && deal.total <= most_at_once; }

}  // namespace

MpiTeam::MpiTeam(const Communicator& parent, const std::vector<int>& engines, int tag) {
  std::vector<int> ranks{0};
  ranks.insert(ranks.end(), engines.begin(), engines.end());
  with_root_ = Communicator::among(parent.get(), ranks, tag);
  member_ = with_root_.rank();
  members_ = with_root_.size();
  if (member_ == 0) return;
  engines_ = Communicator::among(parent.get(), engines, tag);
}

MpiTeam::~MpiTeam() = default;

Team::Begun MpiTeam::gather_votes(const Vote& own, std::span<Vote> all) {
  auto requests = std::make_unique<Requests>();
  check(MPI_Igather(&own, sizeof(Vote), MPI_BYTE, all.data(), sizeof(Vote), MPI_BYTE, 0, with_root_.get(), requests->next()),
        "MPI_Igather");
  return requests;
}

Team::Begun MpiTeam::announce(Verdict& verdict) {
  auto requests = std::make_unique<Requests>();
  check(MPI_Ibcast(&verdict, sizeof(Verdict), MPI_BYTE, 0, with_root_.get(), requests->next()), "MPI_Ibcast");
  return requests;
}

Team::Begun MpiTeam::broadcast(std::byte* data, std::uint64_t bytes) {
  auto requests = std::make_unique<Requests>();
  begin_broadcast(data, bytes, 0, with_root_.get(), *requests);
  return requests;
}

Team::Begun MpiTeam::scatter(const std::byte* from, std::byte* to, const Deal& deal) {
  auto requests = std::make_unique<Requests>();
  Requests& r = *requests;
  const std::size_t parts = engines();
  std::uint64_t own = 0;
  std::vector<std::uint64_t> counts;
  if (member_ == 0) {
    for (std::size_t i = 0; i < parts; ++i) counts.push_back(detail::part_size(deal.total, parts, i));
  } else {
    own = detail::part_size(deal.total, parts, static_cast<std::size_t>(member_) - 1);
  }
  if (plain(deal)) {
    const Requests::Unit unit = r.unit(deal.total, deal.element_bytes);
    if (member_ == 0) {
      r.counts.push_back(0);
      r.offsets.push_back(0);
      for (std::size_t i = 0; i < parts; ++i) {
        r.counts.push_back(unit.count(counts[i]));
        r.offsets.push_back(unit.count(detail::part_begin(deal.total, parts, i)));
      }
    }
    check(MPI_Iscatterv(from, r.counts.data(), r.offsets.data(), unit.type, to, unit.count(own), unit.type, 0, with_root_.get(), r.next()),
          "MPI_Iscatterv");
    return requests;
  }
  begin_exchange(member_ == 0 ? writable(from) : to, member_ == 0, own, counts, deal, r);
  return requests;
}

Team::Begun MpiTeam::gather(const std::byte* from, std::byte* to, std::uint64_t own, std::span<const std::uint64_t> counts,
                            const Deal& deal) {
  auto requests = std::make_unique<Requests>();
  Requests& r = *requests;
  if (plain(deal)) {
    const Requests::Unit unit = r.unit(member_ == 0 ? deal.total : own, deal.element_bytes);
    if (member_ == 0) {
      r.counts.push_back(0);
      r.offsets.push_back(0);
      for (const std::uint64_t count : counts) {
        r.offsets.push_back(r.offsets.back() + r.counts.back());
        r.counts.push_back(unit.count(count));
      }
    }
    check(MPI_Igatherv(from, unit.count(own), unit.type, to, r.counts.data(), r.offsets.data(), unit.type, 0, with_root_.get(), r.next()),
          "MPI_Igatherv");
    return requests;
  }
  begin_exchange(member_ == 0 ? to : writable(from), member_ != 0, own, counts, deal, r);
  return requests;
}

// Parts that MPI_Iscatterv and MPI_Igatherv cannot tell, strided ones and those of arrays of more than 2^31 elements: a message to or from
// each engine, with a datatype that describes its part. (MPI_Ialltoallw could tell them, and hangs in Open MPI 4.1.4 where ranks have
// nothing to give or to take.) `own`: how many elements this engine has at `data`; `counts`: on rank 0, what each has of those at `data`.
void MpiTeam::begin_exchange(std::byte* data, bool sends, std::uint64_t own, std::span<const std::uint64_t> counts, const Deal& deal,
                             Requests& r) {
  const auto begin = [&](int peer, std::byte* at, Datatype&& type) {
    if (sends) {
      check(MPI_Isend(at, 1, type.get(), peer, part_tag, with_root_.get(), r.next()), "MPI_Isend");
    } else {
      check(MPI_Irecv(at, 1, type.get(), peer, part_tag, with_root_.get(), r.next()), "MPI_Irecv");
    }
    r.types.push_back(std::move(type));
  };
  const std::uint64_t size = deal.element_bytes;
  if (member_ != 0) {
    if (own != 0) begin(0, data, Datatype::elements(own, size, size));
    return;
  }
  std::uint64_t offset = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const std::uint64_t stride = deal.dist == Distribution::block ? size : counts.size() * size;
    // Where there is nothing, data may be null.
    if (counts[i] != 0) begin(static_cast<int>(i) + 1, data + offset, Datatype::elements(counts[i], size, stride));
    offset += deal.dist == Distribution::block ? counts[i] * size : size;
  }
}

Team::Begun MpiTeam::reduce(std::byte* data, std::uint64_t count, Element element, Operation operation) {
  const std::size_t size = detail::size_of(element);
  return std::make_unique<Segments>(count, size, [=, this](std::uint64_t first, int elements, MPI_Request* request) {
    std::byte* const at = data + first * size;
    const bool root = member_ == 0;
    check(MPI_Ireduce(root ? MPI_IN_PLACE : at, root ? at : nullptr, elements, mpi_type(element), mpi_operation(operation), 0,
                      with_root_.get(), request),
          "MPI_Ireduce");
  });
}

Team::Begun MpiTeam::barrier() {
  auto requests = std::make_unique<Requests>();
  check(MPI_Ibarrier(engines_.get(), requests->next()), "MPI_Ibarrier");
  return requests;
}

Team::Begun MpiTeam::allreduce(const std::byte* from, std::byte* to, std::uint64_t count, Element element, Operation operation) {
  const std::size_t size = detail::size_of(element);
  return std::make_unique<Segments>(count, size, [=, this](std::uint64_t first, int elements, MPI_Request* request) {
    const void* const input = from == to ? MPI_IN_PLACE : from + first * size;
    check(MPI_Iallreduce(input, to + first * size, elements, mpi_type(element), mpi_operation(operation), engines_.get(), request),
          "MPI_Iallreduce");
  });
}

Team::Begun MpiTeam::allgather_counts(const std::uint64_t& own, std::span<std::uint64_t> counts) {
  auto requests = std::make_unique<Requests>();
  check(MPI_Iallgather(&own, 1, MPI_UINT64_T, counts.data(), 1, MPI_UINT64_T, engines_.get(), requests->next()), "MPI_Iallgather");
  return requests;
}

Team::Begun MpiTeam::allgather(const std::byte* from, std::byte* to, std::size_t place, std::span<const std::uint64_t> counts,
                               std::uint64_t element_bytes) {
  auto requests = std::make_unique<Requests>();
  Requests& r = *requests;
  const std::uint64_t total = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  if (total <= most_at_once) {
    const Requests::Unit unit = r.unit(total, element_bytes);
    int begin = 0;
    for (const std::uint64_t count : counts) {
      r.counts.push_back(unit.count(count));
      r.offsets.push_back(begin);
      begin += r.counts.back();
    }
    check(MPI_Iallgatherv(from, r.counts[place], unit.type, to, r.counts.data(), r.offsets.data(), unit.type, engines_.get(), r.next()),
          "MPI_Iallgatherv");
    return requests;
  }
  // Too many for ints: each engine's part is broadcast from its place in the whole.
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const std::uint64_t bytes = counts[i] * element_bytes;
    if (i == place) std::copy_n(from, bytes, to);
    begin_broadcast(to, bytes, static_cast<int>(i), engines_.get(), r);
    to += bytes;
  }
  return requests;
}

Team::Begun MpiTeam::share(std::byte* data, std::uint64_t bytes, std::size_t source) {
  auto requests = std::make_unique<Requests>();
  begin_broadcast(data, bytes, static_cast<int>(source), engines_.get(), *requests);
  return requests;
}

Team::Begun MpiTeam::send(std::size_t to, std::span<const std::byte> bytes) {
  auto requests = std::make_unique<Requests>();
  Requests& r = *requests;
  const int peer = static_cast<int>(to) + 1;
  r.size = bytes.size();
  check(MPI_Isend(&r.size, 1, MPI_UINT64_T, peer, fold_tag, with_root_.get(), r.next()), "MPI_Isend");
  for (std::size_t at = 0; at < bytes.size(); at += piece_bytes) {
    check(MPI_Isend(bytes.data() + at, static_cast<int>(std::min(piece_bytes, bytes.size() - at)), MPI_BYTE, peer, fold_tag,
                    with_root_.get(), r.next()),
          "MPI_Isend");
  }
  return requests;
}

Team::Begun MpiTeam::receive(std::size_t from, Buffer& into) {
  return std::make_unique<Arrival>(static_cast<int>(from) + 1, into, with_root_.get());
}

Team::Begun MpiTeam::count_ill(std::int64_t& ill) {
  auto requests = std::make_unique<Requests>();
  check(MPI_Iallreduce(MPI_IN_PLACE, &ill, 1, MPI_INT64_T, MPI_SUM, engines_.get(), requests->next()), "MPI_Iallreduce");
  return requests;
}

void MpiTeam::drop_communicator() {
  attached_.reset();
  dropped_ = std::move(for_callables_);
}

void MpiTeam::make_communicator() {
  for_callables_ = Communicator::duplicate(engines_.get());
  dropped_ = Communicator();
  attached_ = std::make_unique<const boost::mpi::communicator>(for_callables_.get(), boost::mpi::comm_attach);
}

}  // namespace rankview::transport

namespace rankview::transport {
namespace {

WayOut simulated = nullptr;
std::atomic<void (*)()> before_end{nullptr};

}  // namespace

void end_process(int code, const std::string& why) {
  if (simulated != nullptr) simulated(code, why);
  if (void (*const last_act)() = before_end) last_act();
  std::fprintf(stderr, "rankview: %s\n", why.c_str());
  std::fflush(nullptr);
  tell_exit_code(code == 0 ? 1 : code);
  _exit(code == 0 ? 1 : code);
}

void set_way_out(WayOut way_out) { simulated = way_out; }

void set_before_end(void (*act)()) { before_end = act; }

}  // namespace rankview::transport
#include <rankview/detail/archive.hpp>

#include <boost/archive/detail/archive_serializer_map.hpp>
#include <boost/archive/impl/archive_serializer_map.ipp>

// What Boost keeps for each archive of the classes that it meets through pointers.
namespace boost::archive::detail {

template class archive_serializer_map<rankview::detail::OutArchive>;
template class archive_serializer_map<rankview::detail::InArchive>;

}  // namespace boost::archive::detail

namespace rankview::inline abi_0_1::detail {
namespace {

std::uint64_t hash(const unsigned char* bytes, std::size_t count) {
  std::uint64_t value = 0xcbf29ce484222325U;  // FNV-1a
  for (std::size_t i = 0; i < count; ++i) value = (value ^ bytes[i]) * 0x100000001b3U;
  return value;
}

// A module that is loaded in this process.
struct Module {
  std::uint64_t id = 0;
  std::uintptr_t base = 0;
  std::uintptr_t begin = 0;  // of its memory
  std::uintptr_t end = 0;
  std::string name;
};

const unsigned char* at(const dl_phdr_info& info, const ElfW(Phdr) & segment) {
  return reinterpret_cast<const unsigned char*>(info.dlpi_addr + segment.p_vaddr);
}

std::optional<std::uint64_t> build_id(const dl_phdr_info& info) {
  const auto note = wire::find_note(info, "GNU", NT_GNU_BUILD_ID);
  if (!note) return std::nullopt;
  return hash(note->data(), note->size());
}

// Linked without a build-id: the code itself, which is the same wherever it is loaded.
std::uint64_t code_hash(const dl_phdr_info& info) {
  std::uint64_t id = 0;
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info.dlpi_phdr[i];
    if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0) id = id * 31 + hash(at(info, segment), segment.p_filesz);
  }
  return id;
}

Module describe(const dl_phdr_info& info) {
  Module module;
  module.base = info.dlpi_addr;
  module.name = info.dlpi_name != nullptr && *info.dlpi_name != '\0' ? info.dlpi_name : "the executable";
  module.begin = static_cast<std::uintptr_t>(-1);
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info.dlpi_phdr[i];
    if (segment.p_type != PT_LOAD) continue;
    const std::uintptr_t begin = info.dlpi_addr + segment.p_vaddr;
    module.begin = begin < module.begin ? begin : module.begin;
    module.end = begin + segment.p_memsz > module.end ? begin + segment.p_memsz : module.end;
  }
  return module;
}

// The first loaded module for which `wanted(module)` holds. Calls it with the id filled in only if `by_id`.
template <class Wanted>
std::optional<Module> find_module(bool by_id, Wanted wanted) {
  struct Search {
    bool by_id;
    Wanted& wanted;
    std::optional<Module> found;
  } search{by_id, wanted, std::nullopt};
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        auto& s = *static_cast<Search*>(data);
        Module module = describe(*info);
        const auto identify = [&] {
          const auto id = build_id(*info);
          module.id = id ? *id : code_hash(*info);
        };
        if (s.by_id) identify();
        if (!s.wanted(module)) return 0;
        if (!s.by_id) identify();
        s.found = std::move(module);
        return 1;
      },
      &search);
  return std::move(search.found);
}

// Whether the address lies in the executable, which is never unloaded, or is null.
bool stays(const void* address) {
  // It comes first.
  static const Module executable = *find_module(false, [](const Module&) { return true; });
  const auto place = reinterpret_cast<std::uintptr_t>(address);
  return place == 0 || (place >= executable.begin && place < executable.end);
}

// How often a module was unloaded. Costs a lock of the loader's.
std::uint64_t unloads() {
  std::uint64_t count = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        *static_cast<std::uint64_t*>(data) = info->dlpi_subs;
        return 1;
      },
      &count);
  return count;
}

// What is so until a module is unloaded, or for good.
class Validity {
 public:
  Validity() = default;
  explicit Validity(bool for_good) : unloads_(for_good ? always : unloads()) {}
  explicit operator bool() const { return unloads_ == always || (unloads_ != never && unloads_ == unloads()); }

 private:
  static constexpr std::uint64_t always = static_cast<std::uint64_t>(-1);
  static constexpr std::uint64_t never = always - 1;

  std::uint64_t unloads_ = never;
};

// Modules that may be opened here when they are wanted. Never destroyed, like whatever may be asked at any time.
std::vector<wire::LoadedModule>& openable = *std::make_unique<std::vector<wire::LoadedModule>>().release();

// Opens the module, which is not loaded. Whether it is now.
bool open_module(std::uint64_t id) {
  const auto found = std::find_if(openable.begin(), openable.end(), [id](const wire::LoadedModule& module) { return module.id == id; });
  return found != openable.end() && dlopen(found->path.c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr;
}

// A few recent answers per thread: a program ships few functions, many times. Those about a library go with the next one that is closed,
// since another may then lie in its place.
template <class Key, class Value>
class Recent {
 public:
  const Value* find(const Key& key, std::size_t spread) const {
    const Entry& entry = entries_[spread % entries_.size()];
    return entry.key == key && entry.valid ? &entry.value : nullptr;
  }
  // `valid`: from before the answer was found.
  const Value& put(const Key& key, std::size_t spread, Value value, const Validity& valid) {
    Entry& entry = entries_[spread % entries_.size()];
    entry = {key, value, valid};
    return entry.value;
  }

 private:
  struct Entry {
    Key key{};
    Value value{};
    Validity valid;
  };
  std::array<Entry, 61> entries_{};
};

}  // namespace

CodeAddress code_address(const void* address) {
  thread_local Recent<const void*, CodeAddress> recent;
  const auto place = reinterpret_cast<std::uintptr_t>(address);
  if (const CodeAddress* known = recent.find(address, place / 8)) return *known;
  const Validity valid(stays(address));
  const auto module = find_module(false, [place](const Module& m) { return place >= m.begin && place < m.end; });
  if (!module) throw UsageError("a function to ship lies in no loaded module: code that was made at run time cannot be sent to engines");
  return recent.put(address, place / 8, {module->id, place - module->base}, valid);
}

const void* local_address(const CodeAddress& address) {
  thread_local Recent<CodeAddress, const void*> recent;
  if (const void* const* known = recent.find(address, address.offset / 8)) return *known;
  const Validity until_unloaded(false);
  const auto wanted = [&address](const Module& m) { return m.id == address.module; };
  auto module = find_module(true, wanted);
  if (!module && open_module(address.module)) module = find_module(true, wanted);
  if (!module)
    throw DecodeError("code to run lies in a shared library that is not loaded here; load it on every rank before its functions are used");
  const std::uintptr_t place = module->base + address.offset;
  if (place < module->begin || place >= module->end)
    throw DecodeError("code to run lies " + std::to_string(address.offset) + " bytes into " + module->name +
                      ", which is smaller than that");
  const auto* const found = reinterpret_cast<const void*>(place);
  return recent.put(address, address.offset / 8, found, stays(found) ? Validity(true) : until_unloaded);
}

const ShippedCode& shipped_code(const void* thunk, const void* function, const void* predicate) {
  using Key = std::array<const void*, 3>;
  thread_local Recent<Key, const ShippedCode*> recent;
  const Key key{thunk, function, predicate};
  const std::size_t spread = (reinterpret_cast<std::uintptr_t>(thunk) * 31 + reinterpret_cast<std::uintptr_t>(function)) / 8;
  if (const ShippedCode* const* known = recent.find(key, spread)) return **known;
  const Validity valid(stays(thunk) && stays(function) && stays(predicate));
  const auto address_of = [](const void* code) { return code == nullptr ? CodeAddress() : code_address(code); };
  const ShippedCode& code = shipped_code({address_of(thunk), address_of(function), address_of(predicate)});
  recent.put(key, spread, &code, valid);
  return code;
}

const ShippedCode& shipped_code(const ShippedCode& code) {
  static std::mutex mutex;
  // Calls may go when everything static has gone.
  static auto& all = *std::make_unique<std::set<ShippedCode>>().release();
  const std::lock_guard guard(mutex);
  return *all.insert(code).first;
}

std::uint64_t executable_id() {
  // The executable comes first.
  return find_module(true, [](const Module&) { return true; })->id;
}

}  // namespace rankview::detail

namespace rankview::wire {

std::vector<LoadedModule> loaded_modules() {
  std::vector<LoadedModule> modules;
  detail::find_module(true, [&modules](const detail::Module& module) {
    modules.push_back({module.id, modules.empty() ? "" : module.name});
    return false;
  });
  return modules;
}

std::uint64_t module_changes() {
  std::uint64_t count = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        *static_cast<std::uint64_t*>(data) = info->dlpi_adds + info->dlpi_subs;
        return 1;
      },
      &count);
  return count;
}

void set_openable_modules(std::vector<LoadedModule> modules) { detail::openable = std::move(modules); }

}  // namespace rankview::wire

#include <ostream>

namespace rankview::wire {

std::string error_text(const std::exception& error) {
  const char* const text = error.what();
  return text == nullptr ? "its what() gives a null pointer" : text;
}

std::string error_text(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return error_text(e);
  } catch (...) {
    return "an exception that is not derived from std::exception";
  }
}

std::string listed(const std::vector<std::string>& earlier) {
  std::string text;
  for (std::size_t i = 0; i < earlier.size(); ++i) text += "\n  attempt " + std::to_string(i + 1) + ": " + earlier[i];
  return text;
}

}  // namespace rankview::wire

namespace rankview::inline abi_0_1 {
namespace {

std::string describe(const TaskPlace& place) {
  if (place.engine < 0) return "";
  return "engine " + std::to_string(place.engine) + " (rank " + std::to_string(place.rank) + ", host " + place.host + "), task " +
         to_string(place.task) + ": ";
}

std::string list(const std::vector<CompositeError::Failure>& failures, std::size_t total) {
  constexpr std::size_t most = 10;
  std::string text = std::to_string(failures.size()) + " of " + std::to_string(total) + (total == 1 ? " task" : " tasks") + " failed:";
  for (std::size_t i = 0; i < failures.size() && i < most; ++i)
    text += "\n  [" + std::to_string(failures[i].index) + "] " + wire::error_text(failures[i].error);
  if (failures.size() > most) text += "\n  and " + std::to_string(failures.size() - most) + " more";
  return text;
}

// The way to the first cause; of a long one its two ends.
std::string tell(const ImpossibleDependency::Link* link) {
  constexpr std::size_t most = 8;
  std::string text;
  for (std::size_t told = 0; link != nullptr; link = link->next.get(), ++told) {
    if (told == most && link->length > 2) {
      text += ", and so on through " + std::to_string(link->length - 1) + " more";
      link = link->first;
    }
    text += (told == 0 ? " " : ", because of ") + to_string(link->task);
    if (link->next == nullptr && !link->why.empty()) text += ", which failed: " + link->why;
  }
  return text;
}

}  // namespace

std::string to_string(const TaskId& id) { return std::to_string(id.call) + "." + std::to_string(id.item); }

std::ostream& operator<<(std::ostream& out, const TaskId& id) { return out << to_string(id); }

RemoteError::RemoteError(TaskPlace place, std::string type_name, std::string message, std::vector<std::string> earlier)
    : Error(describe(place) + (place.engine < 0 || type_name.empty() ? message : type_name + ": " + message) + wire::listed(earlier)),
      place_(std::move(place)),
      type_name_(std::move(type_name)),
      message_(std::move(message)),
      earlier_(std::move(earlier)) {}

NameError::NameError(std::string message, TaskPlace place, std::vector<std::string> earlier)
    : RemoteError(std::move(place), "rankview::NameError", std::move(message), std::move(earlier)) {}

TypeError::TypeError(std::string message, TaskPlace place, std::vector<std::string> earlier)
    : RemoteError(std::move(place), "rankview::TypeError", std::move(message), std::move(earlier)) {}

TaskCrashed::TaskCrashed(std::string message, int signal, int exit_status, std::size_t peak_memory, TaskPlace place,
                         std::vector<std::string> earlier)
    : RemoteError(std::move(place), "rankview::TaskCrashed", std::move(message), std::move(earlier)),
      signal_(signal),
      exit_status_(exit_status),
      peak_memory_(peak_memory) {}

EngineError::EngineError(const std::string& message, TaskPlace place) : Error(message), place_(std::move(place)) {}

ImpossibleDependency::Link::Link(const TaskId& of, std::shared_ptr<const Link> cause, std::string error)
    : task(of),
      next(std::move(cause)),
      first(next == nullptr ? this : next->first),
      length(next == nullptr ? 1 : next->length + 1),
      why(std::move(error)) {}

// One after the other, since a chain may be longer than the stack is deep.
ImpossibleDependency::Link::~Link() {
  while (next != nullptr && next.use_count() == 1) next = std::move(std::const_pointer_cast<Link>(next)->next);
}

ImpossibleDependency::ImpossibleDependency(TaskId task, std::shared_ptr<const Link> because, const std::string& reason)
    : Error("task " + to_string(task) + " cannot run: " + reason + tell(because.get())), task_(task), because_(std::move(because)) {}

std::vector<TaskId> ImpossibleDependency::chain() const {
  std::vector<TaskId> tasks;
  for (const Link* link = because_.get(); link != nullptr; link = link->next.get()) tasks.push_back(link->task);
  return tasks;
}

CompositeError::CompositeError(std::vector<Failure> failures, std::size_t total)
    : Error(list(failures, total)), failures_(std::move(failures)) {}

}  // namespace rankview

// Out of line, since every program has the code that reads.
namespace rankview::inline abi_0_1::detail {

void Claims::refuse(std::size_t size) const {
  throw DecodeError("attachment " + std::to_string(places_.size()) + " of " + std::to_string(sizes_.size()) + " should hold " +
                    std::to_string(size) + " bytes, and was not announced as such");
}

void Reader::short_of(std::size_t count) const {
  throw DecodeError("wanted " + std::to_string(count) + " bytes where " + std::to_string(remaining()) + " are left");
}

void Reader::too_many(std::uint64_t count) const {
  throw DecodeError("a count of " + std::to_string(count) + " elements with " + std::to_string(remaining()) + " bytes left");
}

void Reader::missing(std::size_t count) { throw DecodeError("an attachment of " + std::to_string(count) + " bytes is missing"); }

}  // namespace rankview::detail

namespace rankview::wire {
namespace {

// ---- what records consist of -------------------------------------------------------------------------------------------------

// A record begins with its kind: the k-th of these is of kind k, from 1 on.
using Kinds = std::tuple<Batch, CallableState, DropCallable, End, Results, Bye, Join, Assemble, Disband, TeamReady, Memory, Stop, Recall,
                         Returned, Overdue, Published, SubtaskResult, Subtask, Suspended, Forward, Delivery, Lost, Printed>;
static_assert(std::tuple_size_v<Kinds> == std::variant_size_v<Record>);

template <class R, std::size_t... I>
constexpr std::uint64_t find_kind(std::index_sequence<I...>) {
  return ((std::is_same_v<R, std::tuple_element_t<I, Kinds>> ? I + 1 : 0) + ...);
}
template <class R>
constexpr std::uint64_t kind_of = find_kind<R>(std::make_index_sequence<std::tuple_size_v<Kinds>>());

// The fields that follow, in order. Some have more behind these: see write_rest().
template <class R>
constexpr std::tuple fields{};
template <>
constexpr std::tuple fields<Batch>{&Batch::thunk,  &Batch::function, &Batch::call,  &Batch::first,     &Batch::count,
                                   &Batch::stride, &Batch::team,     &Batch::votes, &Batch::predicate, &Batch::timeout};
template <>
constexpr std::tuple fields<CallableState>{&CallableState::call, &CallableState::state};
template <>
constexpr std::tuple fields<Stop>{&Stop::call, &Stop::first, &Stop::count};
template <>
constexpr std::tuple fields<SubtaskResult>{&SubtaskResult::ticket, &SubtaskResult::failed, &SubtaskResult::value};
template <>
constexpr std::tuple fields<Recall>{&Recall::items};
template <>
constexpr std::tuple fields<DropCallable>{&DropCallable::call};
template <>
constexpr std::tuple fields<Forward>{&Forward::call, &Forward::ticket, &Forward::to};
template <>
constexpr std::tuple fields<Join>{&Join::team, &Join::engines};
template <>
constexpr std::tuple fields<Assemble>{&Assemble::team, &Assemble::turn};
template <>
constexpr std::tuple fields<Disband>{&Disband::team};
template <>
constexpr std::tuple fields<Lost>{&Lost::engine};
template <>
constexpr std::tuple fields<End>{&End::ending, &End::exit_code, &End::reason, &End::losses};
template <>
constexpr std::tuple fields<Delivery>{&Delivery::ticket, &Delivery::found, &Delivery::value};
template <>
constexpr std::tuple fields<Results>{&Results::call, &Results::first, &Results::count, &Results::started, &Results::items};
template <>
constexpr std::tuple fields<Returned>{&Returned::items};
template <>
constexpr std::tuple fields<Subtask>{&Subtask::ticket,      &Subtask::thunk,  &Subtask::function, &Subtask::parent_call,
                                     &Subtask::parent_item, &Subtask::stride, &Subtask::object,   &Subtask::item};
template <>
constexpr std::tuple fields<Suspended>{&Suspended::items};
template <>
constexpr std::tuple fields<Overdue>{&Overdue::call, &Overdue::item};
template <>
constexpr std::tuple fields<TeamReady>{&TeamReady::team};
template <>
constexpr std::tuple fields<Memory>{&Memory::variables, &Memory::bytes};
template <>
constexpr std::tuple fields<Published>{&Published::call, &Published::item, &Published::name, &Published::type, &Published::value};
template <>
constexpr std::tuple fields<Printed>{&Printed::call, &Printed::item, &Printed::out, &Printed::err};
template <>
constexpr std::tuple fields<Failure>{&Failure::kind, &Failure::type_name, &Failure::message};

// What a batch says with yes or no, a bit each.
constexpr bool Batch::*batch_flags[] = {&Batch::has_object, &Batch::communicator, &Batch::first_only, &Batch::flat,     &Batch::movable,
                                        &Batch::slow,       &Batch::keep,         &Batch::awaits,     &Batch::isolated, &Batch::forked};

// ---- writing -----------------------------------------------------------------------------------------------------------------

template <class T>
void write_field(Writer& out, const T& value) {
  out.value(value);
}
template <class T>
void write_elements(Writer& out, const T& elements) {
  out.value(static_cast<std::uint64_t>(elements.size()));
  out.raw(elements.data(), elements.size() * sizeof(*elements.data()));
}
void write_field(Writer& out, const std::string& text) { write_elements(out, text); }
void write_field(Writer& out, const std::span<const std::byte>& bytes) { write_elements(out, bytes); }
template <class T>
void write_field(Writer& out, const std::vector<T>& elements) {
  write_elements(out, elements);
}

template <class R>
void write_rest(Writer&, const R&) {}

void write_rest(Writer& out, const Batch& record) {
  std::uint64_t flags = 0;
  for (std::size_t i = 0; i < std::size(batch_flags); ++i) flags |= std::uint64_t{record.*batch_flags[i]} << i;
  out.value(flags);
  if (record.awaits) {
    write_field(out, record.first_ticket);
    write_field(out, record.holders);
  }
  if (record.isolated) write_field(out, record.memory_limit);
  write_field(out, record.items);
}

void write_rest(Writer& out, const Failure& failure) {
  if (failure.kind != FailureKind::crashed) return;
  write_field(out, failure.signal);
  write_field(out, failure.exit_status);
  write_field(out, failure.peak_memory);
}

template <class R>
void write_fields(Writer& out, const R& record) {
  std::apply([&](auto... field) { (write_field(out, record.*field), ...); }, fields<R>);
  write_rest(out, record);
}

template <class R>
void write_record(Writer& out, const R& record) {
  out.value(kind_of<R>);
  write_fields(out, record);
}

// ---- reading -----------------------------------------------------------------------------------------------------------------

template <class T>
void read_field(Reader& in, T& value) {
  value = in.value<T>();
}
void read_field(Reader& in, std::string& text) {
  const std::size_t size = in.count(1);
  text.assign(reinterpret_cast<const char*>(in.skip(size)), size);
}
void read_field(Reader& in, std::span<const std::byte>& bytes) { bytes = in.take(in.count(1)); }
template <class T>
void read_field(Reader& in, std::vector<T>& elements) {
  elements.resize(in.count(sizeof(T)));
  in.raw(elements.data(), elements.size() * sizeof(T));
}

void check_items(std::uint64_t first, std::uint64_t count, const char* record) {
  if (count == 0 || first + count < first)
    throw DecodeError(std::string(record) + " of " + std::to_string(count) + " items from item " + std::to_string(first));
}

void check_items(const std::vector<Items>& items) {
  for (const Items& some : items) check_items(some.first, some.count, "a recall");
}

// What is behind the fields, and whether the whole makes sense.
template <class R>
void read_rest(Reader&, R&) {}

void read_rest(Reader& in, Batch& record) {
  const auto flags = in.value<std::uint64_t>();
  for (std::size_t i = 0; i < std::size(batch_flags); ++i) record.*batch_flags[i] = (flags >> i & 1) != 0;
  if (flags >> std::size(batch_flags) != 0) throw DecodeError("a batch with flags that there are not: " + std::to_string(flags));
  if (record.awaits) {
    read_field(in, record.first_ticket);
    read_field(in, record.holders);
  }
  if (record.isolated) read_field(in, record.memory_limit);
  read_field(in, record.items);
  check_items(record.first, record.count, "a batch");
  // Each is for an argument.
  if (record.awaits && (record.holders.empty() || record.holders.size() > record.items.size()))
    throw DecodeError("a batch of call " + std::to_string(record.call) + " that awaits " + std::to_string(record.holders.size()) +
                      " results, and has " + std::to_string(record.items.size()) + " bytes of arguments");
  const std::uint64_t least = record.stride != 0 ? record.stride : sizeof(std::uint64_t);
  const bool fits = record.count <= record.items.size() / least;
  if (!fits || (record.stride != 0 && record.count * record.stride != record.items.size()))
    throw DecodeError("a batch of " + std::to_string(record.count) + " items of call " + std::to_string(record.call) + " in " +
                      std::to_string(record.items.size()) + " bytes");
}

void read_rest(Reader&, Join& record) {
  if (record.engines.empty()) throw DecodeError("team " + std::to_string(record.team) + " has no engines");
}

void read_rest(Reader&, Stop& record) { check_items(record.first, record.count, "a stop"); }

void read_rest(Reader&, Recall& record) { check_items(record.items); }

void read_rest(Reader&, Returned& record) { check_items(record.items); }

void read_rest(Reader&, Subtask& record) {
  if (record.stride != 0 && record.stride != record.item.size())
    throw DecodeError("a subtask with arguments of " + std::to_string(record.item.size()) + " bytes, where " +
                      std::to_string(record.stride) + " are announced");
}

void read_rest(Reader&, End& record) {
  if (record.ending > Ending::failed) throw DecodeError("an ending of kind " + std::to_string(static_cast<std::uint64_t>(record.ending)));
}

void read_rest(Reader&, Results& record) {
  check_items(record.first, record.count, "results");
  constexpr std::size_t least = sizeof(std::int64_t) + sizeof(std::uint64_t);
  if (record.count > record.items.size() / least)
    throw DecodeError("results of " + std::to_string(record.count) + " items of call " + std::to_string(record.call) + " in " +
                      std::to_string(record.items.size()) + " bytes");
}

void read_rest(Reader& in, Failure& failure) {
  if (failure.kind > FailureKind::team_broken)
    throw DecodeError("a failure of kind " + std::to_string(static_cast<unsigned>(failure.kind)));
  if (failure.kind != FailureKind::crashed) return;
  read_field(in, failure.signal);
  read_field(in, failure.exit_status);
  read_field(in, failure.peak_memory);
}

template <class R>
R read_record(Reader& in) {
  R record;
  std::apply([&](auto... field) { (read_field(in, record.*field), ...); }, fields<R>);
  read_rest(in, record);
  return record;
}

template <std::size_t... I>
constexpr auto make_readers(std::index_sequence<I...>) {
  return std::array<Record (*)(Reader&), sizeof...(I)>{
      [](Reader& in) -> Record { return read_record<std::tuple_element_t<I, Kinds>>(in); }...};
}

// The fixed fields of Results, written when its last item is known.
struct ResultsHeader {
  std::uint64_t kind = kind_of<Results>;
  std::uint64_t call = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::int64_t started = 0;
  std::uint64_t size = 0;
};

}  // namespace

void write(Writer& out, const Batch& record) { write_record(out, record); }
void write(Writer& out, const CallableState& record) { write_record(out, record); }
void write(Writer& out, const Stop& record) { write_record(out, record); }
void write(Writer& out, const SubtaskResult& record) { write_record(out, record); }
void write(Writer& out, const Recall& record) { write_record(out, record); }
void write(Writer& out, const DropCallable& record) { write_record(out, record); }
void write(Writer& out, const Forward& record) { write_record(out, record); }
void write(Writer& out, const Delivery& record) { write_record(out, record); }
void write(Writer& out, const Join& record) { write_record(out, record); }
void write(Writer& out, const Assemble& record) { write_record(out, record); }
void write(Writer& out, const Disband& record) { write_record(out, record); }
void write(Writer& out, const Lost& record) { write_record(out, record); }
void write(Writer& out, const Returned& record) { write_record(out, record); }
void write(Writer& out, const Subtask& record) { write_record(out, record); }
void write(Writer& out, const Suspended& record) { write_record(out, record); }
void write(Writer& out, const Overdue& record) { write_record(out, record); }
void write(Writer& out, const TeamReady& record) { write_record(out, record); }
void write(Writer& out, const Memory& record) { write_record(out, record); }
void write(Writer& out, const Published& record) { write_record(out, record); }
void write(Writer& out, const Printed& record) { write_record(out, record); }
void write(Writer& out, const End& record) { write_record(out, record); }
void write(Writer& out, const Bye& record) { write_record(out, record); }
void write(Writer& out, const Failure& failure) { write_fields(out, failure); }

Record read(Reader& in) {
  static constexpr auto readers = make_readers(std::make_index_sequence<std::tuple_size_v<Kinds>>());
  const auto kind = in.value<std::uint64_t>();
  if (kind == 0 || kind > readers.size()) throw DecodeError("a record of unknown kind " + std::to_string(kind));
  return readers[kind - 1](in);
}

Failure read_failure(Reader& in) { return read_record<Failure>(in); }

void ResultsWriter::add(std::uint64_t call, std::uint64_t item, std::int64_t started, std::int64_t completed, bool failed,
                        std::span<const std::byte> value) {
  if (!open_ || call != call_ || item != next_) {
    open_ = true;
    call_ = call;
    next_ = item;
    count_ = 0;
    header_ = out_->bytes.size();
    ResultsHeader header;
    header.call = call;
    header.first = item;
    header.started = started;
    out_->value(header);
  }
  ++count_;
  ++next_;
  out_->value(completed);
  out_->value((static_cast<std::uint64_t>(value.size()) << 1U) | static_cast<std::uint64_t>(failed));
  out_->raw(value.data(), value.size());

  const std::uint64_t size = out_->bytes.size() - header_ - sizeof(ResultsHeader);
  std::byte* const header = out_->bytes.data() + header_;
  std::memcpy(header + offsetof(ResultsHeader, count), &count_, sizeof(count_));
  std::memcpy(header + offsetof(ResultsHeader, size), &size, sizeof(size));
}

}  // namespace rankview::wire
