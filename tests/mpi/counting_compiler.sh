#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# The compiler $RANKVIEW_TEST_CXX, with a line in $RANKVIEW_TEST_COMPILATIONS for each program that it is given.
case " $* " in *" -shared "*) echo "$*" >>"$RANKVIEW_TEST_COMPILATIONS" ;; esac
exec "$RANKVIEW_TEST_CXX" "$@"
