# sallyport_bpf_object(TARGET SOURCE SYMBOL [DEFINITIONS ...])
#
# Compiles SOURCE with clang -target bpf and embeds the object file into the library TARGET as
#   extern const unsigned char SYMBOL[];  extern const unsigned long SYMBOL_size;
# Nothing depends on the build host's BTF: the program declares the kernel types that it reads.
find_program(BPF_CLANG NAMES clang-19 REQUIRED)

function(sallyport_bpf_object TARGET SOURCE SYMBOL)
  cmake_parse_arguments(ARG "" "" "DEFINITIONS" ${ARGN})
  set(object "${CMAKE_BINARY_DIR}/bpf/${SYMBOL}.o")
  set(source "${CMAKE_BINARY_DIR}/bpf/${SYMBOL}_embedded.c")
  set(definitions ${ARG_DEFINITIONS})
  list(TRANSFORM definitions PREPEND -D)
  add_custom_command(
    OUTPUT "${object}"
    COMMAND "${CMAKE_COMMAND}" -E make_directory "${CMAKE_BINARY_DIR}/bpf"
    COMMAND "${BPF_CLANG}" -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror
            -Wno-unused-parameter -Wno-missing-declarations ${definitions}
            -I "${CMAKE_SOURCE_DIR}/src" -I /usr/include/x86_64-linux-gnu
            -MD -MF "${object}.d" -c "${SOURCE}" -o "${object}"
    DEPENDS "${SOURCE}"
    DEPFILE "${object}.d"
    COMMENT "BPF ${SYMBOL}"
    VERBATIM)
  # A C file with one asm statement: the compiler's own language needs no further setting.
  file(WRITE "${source}.in" "__asm__(
    \".section .rodata\\n\"
    \".global ${SYMBOL}\\n\"
    \".global ${SYMBOL}_size\\n\"
    \".balign 16\\n\"
    \"${SYMBOL}:\\n\"
    \".incbin \\\"${object}\\\"\\n\"
    \"${SYMBOL}_end:\\n\"
    \".balign 8\\n\"
    \"${SYMBOL}_size:\\n\"
    \".quad ${SYMBOL}_end - ${SYMBOL}\\n\"
    \".previous\\n\");
extern int ${SYMBOL}_c_file_is_not_empty;
")
  configure_file("${source}.in" "${source}" COPYONLY)
  set_source_files_properties("${source}" PROPERTIES OBJECT_DEPENDS "${object}")
  target_sources(${TARGET} PRIVATE "${source}")
endfunction()
