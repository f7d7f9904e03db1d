# One target a folder of src/, arrows downwards only: a test that links one module gets that module
# and what stands below it, so that an upward call does not link.

# atls_module(NAME SOURCES ... [DEPENDS modules ...] [LIBS targets ...])
function(atls_module name)
    cmake_parse_arguments(M "" "" "SOURCES;DEPENDS;LIBS" ${ARGN})
    add_library(atls_${name} STATIC ${M_SOURCES})
    target_link_libraries(atls_${name} PUBLIC atls_flags)
    if(NOT ATLS_SANITIZE AND NOT ATLS_COVERAGE)
        # Red zones make frames larger than they are in the product.
        target_compile_options(atls_${name} PRIVATE -Wframe-larger-than=4096)
    endif()
    foreach(dep IN LISTS M_DEPENDS)
        target_link_libraries(atls_${name} PUBLIC atls_${dep})
    endforeach()
    target_link_libraries(atls_${name} PUBLIC ${M_LIBS})
    set_property(GLOBAL APPEND PROPERTY ATLS_MODULES ${name})
endfunction()
