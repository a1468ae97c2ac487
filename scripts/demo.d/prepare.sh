# What the tour needs before it starts. Sourced by scripts/demo; each function does nothing when
# its work is done already.

say() { printf '== %s\n' "$*"; }

# install_packages LIST: Debian packages, one name a line.
install_packages() {
  local missing=() name
  while read -r name; do
    [ -n "$name" ] && [ "${name:0:1}" != "#" ] || continue
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
  done < "$1"
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing Debian packages: ${missing[*]}"
  # Only the programs are wanted: no nginx or Redis of the host's own may start.
  local guard=/usr/sbin/policy-rc.d made=""
  if [ ! -e "$guard" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$guard"
    chmod +x "$guard"
    made=yes
  fi
  local status=0
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
      --no-install-recommends "${missing[@]}"; } || status=$?
  [ -z "$made" ] || rm -f "$guard"
  return $status
}

# make_venv DIR REQUIREMENTS: anew when the pinned versions have changed.
make_venv() {
  local dir=$1 requirements=$2 stamp
  stamp=$(sha256sum < "$requirements")
  [ "$(cat "$dir/.requirements" 2>/dev/null)" != "$stamp" ] || return 0
  say "installing the model server and the database into $dir (about 300 MB)"
  rm -rf "$dir"
  /usr/bin/python3 -m venv "$dir"
  "$dir/bin/pip" install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps \
    -r "$requirements"
  echo "$stamp" > "$dir/.requirements"
}

build_release() {
  scripts/setup
  [ -e build/release/build.ninja ] || cmake --preset release
  say "building a release (the first time takes some minutes)"
  cmake --build build/release --target sallyport
}
