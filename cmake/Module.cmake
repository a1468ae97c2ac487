# sallyport_module(NAME [DEPS module...] [LIBS library...])
#
# src/NAME/*.cc become the static library sp_NAME. Files named *_test.cc become the executable
# NAME_test, registered with CTest; *_fuzz.cc belong to fuzz/. DEPS are modules declared earlier.
include(GoogleTest)
enable_testing()

function(sallyport_module NAME)
  cmake_parse_arguments(ARG "" "" "DEPS;LIBS" ${ARGN})
  set(dir "${CMAKE_SOURCE_DIR}/src/${NAME}")
  file(GLOB sources CONFIGURE_DEPENDS "${dir}/*.cc")
  file(GLOB tests CONFIGURE_DEPENDS "${dir}/*_test.cc")
  set(fuzzers ${sources})
  list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.cc$")
  list(REMOVE_ITEM sources ${tests} ${fuzzers})
  if(NOT sources)
    file(WRITE "${CMAKE_BINARY_DIR}/empty_${NAME}.cc" "")
    set(sources "${CMAKE_BINARY_DIR}/empty_${NAME}.cc")
  endif()

  add_library(sp_${NAME} STATIC ${sources})
  target_include_directories(sp_${NAME} PUBLIC "${CMAKE_SOURCE_DIR}/src")
  set(deps ${ARG_DEPS})
  list(TRANSFORM deps PREPEND sp_)
  target_link_libraries(sp_${NAME} PUBLIC ${deps} ${ARG_LIBS} Threads::Threads)
  set_property(GLOBAL APPEND PROPERTY SALLYPORT_MODULES ${NAME})

  # A module may bring more of its own build (eBPF objects, generated files).
  if(EXISTS "${dir}/module.cmake")
    include("${dir}/module.cmake")
  endif()

  if(tests)
    add_executable(${NAME}_test ${tests})
    target_link_libraries(${NAME}_test PRIVATE sp_${NAME} GTest::gtest GTest::gtest_main)
    target_compile_definitions(${NAME}_test PRIVATE
      SALLYPORT_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
      SALLYPORT_BINARY_DIR="${CMAKE_BINARY_DIR}")
    add_test(NAME ${NAME} COMMAND ${NAME}_test WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
    set_tests_properties(${NAME} PROPERTIES TIMEOUT 900)
  endif()
endfunction()
