// What these functions promise is in guise.h.
// swift-format-ignore-file: AllPublicDeclarationsHaveDocumentation

import CGuiseInterface
import Glibc
import Guise

@c @implementation
public func guise_api_version() -> CInt { GUISE_API_VERSION }

@c @implementation
public func guise_attach(
    _ version: CInt, _ runtimeDirectory: UnsafePointer<CChar>?, _ flags: CUnsignedInt, _ threads: Int
) -> CInt {
    outcome {
        guard (1...GUISE_API_VERSION).contains(version) else {
            throw Failure.invalid(
                "the program was built for version \(version) of guise.h, and this library is of version"
                    + " \(GUISE_API_VERSION): install the library that the program was built with, or a newer one"
            )
        }
        try check(flags, among: GUISE_COOPERATIVE)
        try Authority.attach(
            runtimeDirectory: try runtimeDirectory.map { try text($0, "runtime_directory") },
            enforcement: flags & GUISE_COOPERATIVE == 0 ? .mediated : .cooperative,
            threads: threads == 0 ? Authority.defaultThreads : threads)
        return 0
    }
}

/// Refuses flags that mean nothing.
func check(_ flags: CUnsignedInt, among known: CUnsignedInt) throws(Failure) {
    guard flags & ~known == 0 else {
        throw .invalid("flags: 0x\(String(flags & ~known, radix: 16)) means nothing here")
    }
}
