// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that who uses Guise never builds it. Run: swift run -c release guise-bench [SUITE…]
let package = Package(
    name: "guise-benchmarks",
    dependencies: [.package(name: "guise", path: "..")],
    targets: [
        .executableTarget(
            name: "guise-bench",
            dependencies: [
                "CAllocationCounter", "CSambaBaseline", .product(name: "AccessControl", package: "guise"),
            ]),
        .target(name: "CAllocationCounter"),
        // Loads Samba's library where it is installed, so that the ratio is measured and not remembered.
        .target(name: "CSambaBaseline", cSettings: [.unsafeFlags(["-I/usr/include/samba-4.0"])]),
    ],
    swiftLanguageModes: [.v6]
)
