// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "transport/posted_receives.hpp"

#include <mpi.h>
#include <numeric>
#include <vector>

namespace rankview::transport {
namespace {

// Calls that fail mean that there is nothing to be known.
std::size_t read(int variable) {
  MPI_T_pvar_session session = MPI_T_PVAR_SESSION_NULL;
  if (MPI_T_pvar_session_create(&session) != MPI_SUCCESS) return 0;
  MPI_T_pvar_handle handle = MPI_T_PVAR_HANDLE_NULL;
  MPI_Comm world = MPI_COMM_WORLD;
  int count = 0;
  std::size_t sum = 0;
  if (MPI_T_pvar_handle_alloc(session, variable, &world, &handle, &count) == MPI_SUCCESS) {
    // One for each rank.
    std::vector<unsigned> values(static_cast<std::size_t>(count));
    if (MPI_T_pvar_read(session, handle, values.data()) == MPI_SUCCESS) sum = std::accumulate(values.begin(), values.end(), std::size_t{0});
    MPI_T_pvar_handle_free(session, &handle);
  }
  MPI_T_pvar_session_free(&session);
  return sum;
}

}  // namespace

std::size_t posted_receives_on_world() {
  int provided = 0;
  if (MPI_T_init_thread(MPI_THREAD_MULTIPLE, &provided) != MPI_SUCCESS) return 0;
  int variable = 0;
  const bool known = MPI_T_pvar_get_index("pml_ob1_posted_recvq_length", MPI_T_PVAR_CLASS_SIZE, &variable) == MPI_SUCCESS;
  const std::size_t posted = known ? read(variable) : 0;
  MPI_T_finalize();
  return posted;
}

}  // namespace rankview::transport
