# SPDX-License-Identifier: MIT
nova_cases=()
