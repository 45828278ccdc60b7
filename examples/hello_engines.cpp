// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include <rankview/rankview.hpp>
#include <cstdio>
#include <unistd.h>
namespace rv = rankview;
double longrun(int n) { double s=0; for(int i=1;i<=n;++i) s+=1.0/i; return s; }
int main(int argc, char** argv) {
  return rv::run(argc, argv, [](rv::Client& rc) {
    for (int id : rc.ids()) std::printf("engine %d\n", id);
    rv::DirectView all = rc[rv::all];
    for (pid_t p : all.apply_sync(getpid)) std::printf("pid %d\n", p);
    double one = rc[0].apply_sync(longrun, 10'000);
    std::printf("%f\n", one);
    auto lview = rc.load_balanced_view();
    for (double v : lview.map_sync(longrun, std::vector{1000, 500, 1000, 200})) std::printf("%f\n", v);
    auto ar = lview.map([](int i){ return i*i; }, std::views::iota(0, 10) | std::views::transform([](int i){return i+1;}));
    for (int v : ar) std::printf("%d ", v);
    std::printf("\n");
    rc[0]["x"] = std::vector<double>{1,2,3};
    std::printf("%zu\n", rc[0]["x"].get<std::vector<double>>().size());
    rc[0].apply_sync([](std::vector<double>& v){ v.push_back(4); }, rv::ref("x"));
    std::printf("%zu\n", rc[0]["x"].get<std::vector<double>>().size());
  });
}
