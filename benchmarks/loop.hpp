// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <mpi.h>
#include <cstddef>
#include <cstdint>
#include <vector>

// The master-worker loop that one would write by hand: one task a message, so many in flight for each worker.
namespace bench::loop {

struct Task {
  std::int64_t item;
  double value;  // the argument on the way out, the result on the way back
};

constexpr int task_tag = 1;
constexpr int stop_tag = 2;

// Tasks are far below the eager limit, so that MPI_Send returns at once, and costs less than MPI_Isend and the test for its end.
inline void send(const Task& task, int to, int tag) { MPI_Send(&task, sizeof(task), MPI_BYTE, to, tag, MPI_COMM_WORLD); }

// On every rank but 0, until the master has done.
template <class F>
void work(F f) {
  for (;;) {
    Task task;
    MPI_Status status;
    MPI_Recv(&task, sizeof(task), MPI_BYTE, 0, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
    if (status.MPI_TAG == stop_tag) return;
    task.value = f(task.value);
    send(task, 0, task_tag);
  }
}

// On rank 0: the results in order.
inline std::vector<double> master(const std::vector<double>& input, int workers, int in_flight) {
  std::vector<double> output(input.size());
  std::size_t next = 0;
  const auto hand_out = [&](int worker) {
    send({static_cast<std::int64_t>(next), input[next]}, worker, task_tag);
    ++next;
  };
  for (int i = 0; i < in_flight; ++i) {
    for (int worker = 1; worker <= workers && next < input.size(); ++worker) hand_out(worker);
  }
  for (std::size_t received = 0; received < input.size(); ++received) {
    Task result;
    MPI_Status status;
    MPI_Recv(&result, sizeof(result), MPI_BYTE, MPI_ANY_SOURCE, task_tag, MPI_COMM_WORLD, &status);
    if (next < input.size()) hand_out(status.MPI_SOURCE);
    output[static_cast<std::size_t>(result.item)] = result.value;
  }
  for (int worker = 1; worker <= workers; ++worker) send({}, worker, stop_tag);
  return output;
}

}  // namespace bench::loop
