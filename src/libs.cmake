# The shared libraries that users link. Each takes the objects of its own modules and links what stands
# below statically and hidden; the export list says what gets out.
#
#   libatls           core ... flavour: libcrypto only
#   libatls-openssl   the OpenSSL adapter
#   libatls-tpm2      the TPM 2.0 attester
#   libatls-verifier  store, policy, appraisal, results

# atls_library(NAME MODULES ... [PUBLIC libraries] [REQUIRES pkg-config names])
function(atls_library name)
    cmake_parse_arguments(L "" "DESCRIPTION" "MODULES;PUBLIC;REQUIRES;REQUIRES_PRIVATE" ${ARGN})
    set(map "${PROJECT_SOURCE_DIR}/src/lib${name}.map")
    list(TRANSFORM L_MODULES REPLACE "(.+)" "$<TARGET_OBJECTS:atls_\\1>" OUTPUT_VARIABLE objects)
    list(TRANSFORM L_MODULES PREPEND "atls_" OUTPUT_VARIABLE modules)
    add_library(${name} SHARED ${objects})
    set_target_properties(${name} PROPERTIES
        VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
        LINK_DEPENDS "${map}")
    target_link_libraries(${name} PRIVATE ${modules} PUBLIC ${L_PUBLIC})
    target_include_directories(${name} INTERFACE
        "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>" "$<INSTALL_INTERFACE:include>")
    # Once loaded they stay, as libcrypto does: what is fetched of it once per process, and the code that
    # it calls for keys of attesters, outlive the plug-in that brought the library along.
    target_link_options(${name} PRIVATE "-Wl,--version-script=${map}" -Wl,-z,nodelete)
    if(NOT ATLS_SANITIZE)
        target_link_options(${name} PRIVATE -Wl,-z,defs)
    endif()
    string(REPLACE "atls-" "" short "${name}")
    add_library(atls::${short} ALIAS ${name})
    set_target_properties(${name} PROPERTIES EXPORT_NAME ${short})
    install(TARGETS ${name} EXPORT atls-targets LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")

    list(JOIN L_REQUIRES ", " PC_REQUIRES)
    list(JOIN L_REQUIRES_PRIVATE ", " PC_REQUIRES_PRIVATE)
    set(PC_NAME lib${name})
    set(PC_LIB ${name})
    set(PC_DESCRIPTION "${L_DESCRIPTION}")
    configure_file("${PROJECT_SOURCE_DIR}/cmake/lib.pc.in" "${PROJECT_BINARY_DIR}/lib${name}.pc" @ONLY)
    install(FILES "${PROJECT_BINARY_DIR}/lib${name}.pc"
        DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
endfunction()

atls_library(atls MODULES core crypto wire ea bind evidence attester verifier policy base intra post pre
    DESCRIPTION "Attested TLS: exported authenticators, evidence, sessions"
    REQUIRES_PRIVATE "libcrypto >= 3.0")
atls_library(atls-openssl MODULES openssl PUBLIC atls OpenSSL::SSL
    DESCRIPTION "Attested TLS over OpenSSL" REQUIRES libatls "libssl >= 3.0")
atls_library(atls-tpm2 MODULES attester_tpm2 PUBLIC atls
    DESCRIPTION "TPM 2.0 attester for attested TLS" REQUIRES libatls
    REQUIRES_PRIVATE tss2-esys tss2-tctildr tss2-mu tss2-rc)
atls_library(atls-verifier
    MODULES store policy_jq verifier_collateral verifier_ear verifier_local verifier_remote issuer inspect enrol PUBLIC atls
    DESCRIPTION "Verifier for attested TLS: store, policy, appraisal, results" REQUIRES libatls
    REQUIRES_PRIVATE jansson sqlite3 libpq "libcurl >= 7.85")

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/atls" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT atls-targets NAMESPACE atls:: FILE atls-targets.cmake
    DESTINATION "${CMAKE_INSTALL_LIBDIR}/cmake/atls")
include(CMakePackageConfigHelpers)
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/atls-config.cmake.in"
    "${PROJECT_BINARY_DIR}/atls-config.cmake"
    INSTALL_DESTINATION "${CMAKE_INSTALL_LIBDIR}/cmake/atls")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/atls-config-version.cmake"
    COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/atls-config.cmake" "${PROJECT_BINARY_DIR}/atls-config-version.cmake"
    DESTINATION "${CMAKE_INSTALL_LIBDIR}/cmake/atls")
