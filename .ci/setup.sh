# Sourced by the project's scripts: installs what is missing on a Debian machine and sets what Open MPI needs here.
# Defines: need PACKAGE..., build PRESET [CMAKE OPTION...] (of it all, or of the folders in $parts), jobs.

cd "$(dirname "$0")/.." || exit 1

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Installs those of the packages that are not there.
need() {
  missing=
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
  done
  [ -z "$missing" ] && return 0
  echo "installing:$missing"
  if [ -z "$apt_updated" ]; then
    as_root apt-get update -qq || return 1
    apt_updated=yes
  fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

jobs=$(nproc)

build() {
  preset=$1
  shift
  log=$(mktemp) || return 1
  cmake --preset "$preset" "$@" >"$log" 2>&1 || { cat "$log"; rm -f "$log"; return 1; }
  rm -f "$log"
  cmake --build --preset "$preset" -j "$jobs" ${parts:+--target $parts}
}

# mpirun refuses root, and more ranks than cores, unless told; it binds ranks to cores, which hurts when they share them.
if [ "$(id -u)" -eq 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none

need g++ cmake ninja-build openmpi-bin libopenmpi-dev libboost-mpi-dev libboost-serialization-dev libcli11-dev libsqlitecpp-dev libsqlite3-dev libxxhash-dev ||
  { echo "cannot install the packages that rankview needs" >&2; exit 1; }
