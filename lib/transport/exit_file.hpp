// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

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
