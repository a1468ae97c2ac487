# sallyport_bpf_object(TARGET SOURCE SYMBOL [DEFINITIONS ...])
#
# Compiles SOURCE with clang -target bpf and embeds the object file into the library TARGET as
#   extern const unsigned char SYMBOL[];  extern const unsigned long SYMBOL_size;
# Nothing depends on the build host's BTF: the program declares the kernel types that it reads.
find_program(BPF_CLANG NAMES clang-19 REQUIRED)

function(sallyport_bpf_object TARGET SOURCE SYMBOL)
  cmake_parse_arguments(ARG "" "" "DEFINITIONS" ${ARGN})
  set(object "${CMAKE_BINARY_DIR}/bpf/${SYMBOL}.o")
  set(assembly "${CMAKE_BINARY_DIR}/bpf/${SYMBOL}.S")
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
  file(WRITE "${assembly}.in" "
    .section .rodata
    .global ${SYMBOL}
    .global ${SYMBOL}_size
    .balign 16
${SYMBOL}:
    .incbin \"${object}\"
${SYMBOL}_end:
    .balign 8
${SYMBOL}_size:
    .quad ${SYMBOL}_end - ${SYMBOL}
    .section .note.GNU-stack,\"\",%progbits
")
  configure_file("${assembly}.in" "${assembly}" COPYONLY)
  set_source_files_properties("${assembly}" PROPERTIES LANGUAGE C OBJECT_DEPENDS "${object}")
  set_source_files_properties("${assembly}" PROPERTIES COMPILE_OPTIONS "-Wno-unused-command-line-argument")
  target_sources(${TARGET} PRIVATE "${assembly}")
endfunction()
