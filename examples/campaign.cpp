// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// campaign DIRECTORY: a sweep that is longer than its jobs. Each job does what those before it have left, and one that has to end says by
// its exit code, 75, that it wants to be started again. campaign.sh plays the batch system.
#include <rankview/rankview.hpp>

#include <cmath>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

namespace rv = rankview;

// The energy of a pendulum of so many degrees, say; it takes a while.
struct Energy {
  double operator()(int degrees) const {
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    return 1 - std::cos(degrees * std::acos(-1.0) / 180);
  }
};

int main(int argc, char** argv) {
  return rv::run(argc, argv, [&](rv::Client& rc) {
    std::vector<int> angles;
    for (int degrees = 0; degrees < 360; degrees += 3) angles.push_back(degrees);

    const auto view =
        rc.load_balanced_view().with({.checkpoint = std::string(argc > 1 ? argv[1] : "campaign.ckpt"), .durable = rv::strict});
    const auto energies = view.map(Energy(), angles);

    std::size_t found = 0;  // what no engine has run
    for (std::size_t i = 0; i < angles.size(); ++i) found += energies.metadata(i).status == rv::Status::completed ? 1 : 0;
    std::printf("%zu of %zu are there, the others are to be done\n", found, angles.size());
    std::fflush(stdout);

    double sum = 0;
    for (const double energy : energies.get()) sum += energy;  // throws rv::Draining when the job has to end
    std::printf("all are done; the mean energy is %.6f\n", sum / static_cast<double>(angles.size()));
  });
}
