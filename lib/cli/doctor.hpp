// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "doctor/finding.hpp"

#include <ostream>

namespace rankview::cli {

// What somebody wants to know.
struct DoctorWish {
  int engines = 0;     // that are to be started and measured
  bool pairs = false;  // of these any two
  bool json = false;
};

// A line each, with what is to be done below; in colours where that is wanted. As JSON an array, an object a line.
void print_findings(std::ostream& out, const doctor::Findings& findings, bool colours);
void print_findings_json(std::ostream& out, const doctor::Findings& findings);

// Gives the exit code: 1 if there is a problem. Starts itself again with engines, if some are wanted.
int run_doctor(const DoctorWish& wish, int argc, char** argv);

}  // namespace rankview::cli
