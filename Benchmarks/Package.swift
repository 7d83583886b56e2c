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
                "CFloor",
                .product(name: "AccessControl", package: "guise"),
                .product(name: "Guise", package: "guise"),
            ]),
    ],
    swiftLanguageModes: [.v6]
)
