// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that who uses Guise never builds it. Run it by ../scripts/benchmark.
let package = Package(
    name: "guise-benchmarks",
    dependencies: [.package(name: "guise", path: "..")],
    targets: [
        .target(name: "CFloor"),
        .executableTarget(
            name: "guise-bench",
            dependencies: [
                "CAllocationCounter", "CFloor", "CSambaBaseline",
                .product(name: "AccessControl", package: "guise"),
                .product(name: "Guise", package: "guise"),
            ]),
        .target(name: "CAllocationCounter"),
        // Loads Samba's library where it is installed, so that the ratio is measured and not remembered.
        .target(name: "CSambaBaseline", cSettings: [.unsafeFlags(["-I/usr/include/samba-4.0"])]),
    ],
    swiftLanguageModes: [.v6]
)
