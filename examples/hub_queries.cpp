// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// What people ask of a run that is over: what failed and why, what took longest, what each host did, how much time was lost to waiting; and
// then, run this one again. A first pass of a sweep finds two parameters for which a file is missing; the database of tasks has the
// answers, and the arguments of what failed, so that it is run again once the file is there.
//
// Run:    mpirun -np 3 ./hub_queries [run.db]
//
// Output, where what stands in <> differs from run to run:
//   38 of 40 parameters are solved
//   what failed, and why:
//     task <1.11> (parameter 11) of solve(int): no mesh for parameter 11
//     task <1.29> (parameter 29) of solve(int): no mesh for parameter 29
//   what took longest:
//     parameter <17>: <60> ms on engine <0>
//     parameter <5>: <30> ms on engine <1>
//   each host:
//     <node1>: 40 tasks, <0.1> s of work
//   lost to waiting:
//     <1> % of the engines' time between the first task and the last
//   run again:
//     5.5 14.5

#include <rankview/rankview.hpp>

#include <chrono>
#include <cstdio>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace rv = rankview;
using namespace std::chrono_literals;

double solve(int parameter) {
  // Only some have a mesh before somebody has made the others.
  const bool has_mesh = parameter % 18 != 11 || rv::this_engine::vars().contains("meshes");
  if (!has_mesh) throw std::runtime_error("no mesh for parameter " + std::to_string(parameter));
  std::this_thread::sleep_for(parameter == 17 ? 60ms : parameter == 5 ? 30ms : 1ms);
  return 0.5 * parameter;
}

// The only value of the only row.
double number(const rv::Table& table) { return std::stod(table.rows.at(0).at(0).value_or("0")); }

int main(int argc, char** argv) {
  rv::Options options;
  options.hub = argc > 1 ? argv[1] : "hub_queries.db";
  return rv::run(
      argc, argv,
      [](rv::Client& rc) {
        const auto sweep = rc.load_balanced_view().with({.label = "sweep"}).map(solve, std::views::iota(0, 40));
        sweep.wait();
        std::size_t solved = 0;
        for (const auto& outcome : sweep.results()) solved += outcome.has_value() ? 1 : 0;
        std::printf("%zu of %zu parameters are solved\n", solved, sweep.size());

        // The file may have earlier runs; this one has a number there.
        const std::int64_t run = rc.hub().run();

        std::puts("what failed, and why:");
        const auto failed = rc.db_query({.run = run, .status = rv::Status::failed, .label = "sweep"});
        for (const rv::TaskRecord& task : failed) {
          const std::string why = task.error.substr(task.error.rfind(": ") + 2);
          std::printf("  task %s (parameter %d) of %s: %s\n", to_string(task.task).c_str(), static_cast<int>(task.task.item),
                      task.function.c_str(), why.c_str());
        }

        std::puts("what took longest:");
        const rv::Table slowest =
            rc.hub().query("select item, round(run_time * 1000), engine from tasks where run = ? order by run_time desc limit 2", {run});
        for (const auto& row : slowest.rows)
          std::printf("  parameter %s: %s ms on engine %s\n", row[0]->c_str(), row[1]->c_str(), row[2]->c_str());

        std::puts("each host:");
        const rv::Table hosts = rc.hub().query(
            "select host, count(*), round(sum(run_time), 1) from tasks join engine on engine.run = tasks.run and engine.id = tasks.engine "
            "where tasks.run = ? group by host order by host",
            {run});
        for (const auto& row : hosts.rows) std::printf("  %s: %s tasks, %s s of work\n", row[0]->c_str(), row[1]->c_str(), row[2]->c_str());

        std::puts("lost to waiting:");
        const double lost = number(rc.hub().query(
            "select 100 * (1 - sum(run_time) / ((max(completed) - min(started)) * (select engines from run where id = ?1))) from tasks "
            "where run = ?1",
            {run}));
        std::printf("  %.0f %% of the engines' time between the first task and the last\n", lost);

        std::puts("run again:");
        rc[rv::all].push_sync("meshes", true);
        std::string again;
        for (const double value : rc.resubmit<double>(failed)) again += " " + std::to_string(value).substr(0, value < 10 ? 3 : 4);
        std::printf(" %s\n", again.c_str());
      },
      options);
}
