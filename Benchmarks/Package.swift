// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that who uses Guise never builds it. Run: swift run -c release guise-bench [SUITE…]
let package = Package(
    name: "guise-benchmarks",
    dependencies: [.package(name: "guise", path: "..")],
    targets: [
        .executableTarget(
            name: "guise-bench",
            dependencies: [.product(name: "AccessControl", package: "guise")])
    ],
    swiftLanguageModes: [.v6]
)
