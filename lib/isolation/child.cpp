// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "isolation/child.hpp"

#include "engine/crash_report.hpp"
#include "engine/current.hpp"
#include "engine/failure.hpp"
#include "engine/task_host.hpp"
#include "isolation/fd.hpp"
#include "isolation/trace.hpp"

#include <rankview/detail/callable.hpp>
#include <rankview/detail/code_address.hpp>
#include <rankview/detail/kept_result.hpp>
#include <rankview/errors.hpp>

#include <execinfo.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

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
